-- What was said in an attack: an attempt of a run of kind 'attack' is one call of the target or of the attacker.
CREATE TABLE steps (
    attempt       INTEGER PRIMARY KEY REFERENCES attempts (id),
    attack        TEXT NOT NULL,        -- name of the attack
    role          TEXT NOT NULL,        -- target or attacker
    conversation  TEXT NOT NULL,        -- JSON list of messages, as they were sent
    note          TEXT NOT NULL         -- what the attack says of it: the transform, the strategy ...
);
