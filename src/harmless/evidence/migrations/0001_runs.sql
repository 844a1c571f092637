-- What was asked, answered and judged. Rows are only ever added.
CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    key         TEXT NOT NULL,          -- digest of plan, target, guards and policy: the same command has the same key
    kind        TEXT NOT NULL,          -- check
    created_at  TEXT NOT NULL,          -- UTC, ISO 8601
    suite       TEXT NOT NULL,
    plan_hash   TEXT NOT NULL,
    target      TEXT NOT NULL,          -- JSON of TargetInfo
    guards      TEXT NOT NULL,          -- JSON: role -> GuardInfo and error rates
    policy      TEXT NOT NULL,          -- JSON of Policy
    sampling    TEXT NOT NULL,          -- JSON of Sampling
    options     TEXT NOT NULL           -- JSON: samples, stop_early, seed, versions
);
CREATE INDEX runs_by_key ON runs (key, created_at);

CREATE TABLE run_events (
    id      INTEGER PRIMARY KEY,
    run     TEXT NOT NULL REFERENCES runs (id),
    at      TEXT NOT NULL,
    event   TEXT NOT NULL,              -- started, resumed, interrupted, aborted, out_of_budget, settled, finished
    detail  TEXT NOT NULL DEFAULT '',
    upto    INTEGER NOT NULL            -- highest attempt id when it happened
);
CREATE INDEX run_events_by_run ON run_events (run, id);

CREATE TABLE prompts (
    run       TEXT NOT NULL REFERENCES runs (id),
    position  INTEGER NOT NULL,         -- order in the plan
    id        TEXT NOT NULL,
    prompt    TEXT NOT NULL,            -- JSON of Prompt
    PRIMARY KEY (run, position)
) WITHOUT ROWID;

CREATE TABLE attempts (
    id         INTEGER PRIMARY KEY,
    run        TEXT NOT NULL REFERENCES runs (id),
    key        TEXT NOT NULL,           -- digest of plan, prompt, attack, turn, sample, target and sampling
    ask        TEXT NOT NULL,           -- digest of target, sampling, conversation and sample: equal asks have equal keys in all runs
    position   INTEGER NOT NULL,
    sample     INTEGER NOT NULL,
    try        INTEGER NOT NULL,        -- 0, or 1 and more where an attempt that had failed was made again
    status     TEXT NOT NULL,
    reply      TEXT NOT NULL,           -- JSON of Reply
    at         REAL NOT NULL,           -- seconds since the epoch
    UNIQUE (run, key, try)
);
CREATE INDEX attempts_by_ask ON attempts (ask);

CREATE TABLE verdicts (
    id       INTEGER PRIMARY KEY,
    attempt  INTEGER NOT NULL REFERENCES attempts (id),
    role     TEXT NOT NULL,             -- harm or refusal
    guard    TEXT NOT NULL,             -- identity of the guard
    verdict  TEXT NOT NULL,             -- JSON of Verdict
    UNIQUE (attempt, role, guard)
);
