-- oldest release that runs on this schema: 0.1
-- pending jobs only: a finished job is gone, a given-up one moves to dead_job
CREATE TABLE job (
  id        BIGINT PRIMARY KEY,
  kind      TEXT NOT NULL,
  lane      TEXT NOT NULL,
  subject   TEXT NOT NULL,
  bucket    BIGINT NOT NULL,
  epoch     BIGINT NOT NULL,
  priority  BIGINT NOT NULL,
  dedup     TEXT NOT NULL,
  earliest  BIGINT NOT NULL,
  due       BIGINT NOT NULL,
  payload   BYTEA NOT NULL,
  attempt   BIGINT NOT NULL DEFAULT 0,
  deferred  BIGINT NOT NULL DEFAULT 0,
  reason    TEXT NOT NULL DEFAULT '',
  detail    TEXT NOT NULL DEFAULT '',
  created   BIGINT NOT NULL
);
-- A subject's jobs are found by its bucket. An index on the subject would touch as many pages in each transaction as there
-- are subjects, and make every job dearer the more wait; this one grows at 64 ends and shrinks at 64 others.
CREATE INDEX job_bucket ON job (bucket, id) WHERE bucket >= 0;
CREATE TABLE dead_job (
  id        BIGINT PRIMARY KEY,
  kind      TEXT NOT NULL,
  lane      TEXT NOT NULL,
  subject   TEXT NOT NULL,
  bucket    BIGINT NOT NULL,
  epoch     BIGINT NOT NULL,
  priority  BIGINT NOT NULL,
  dedup     TEXT NOT NULL,
  earliest  BIGINT NOT NULL,
  due       BIGINT NOT NULL,
  payload   BYTEA NOT NULL,
  attempt   BIGINT NOT NULL,
  deferred  BIGINT NOT NULL,
  reason    TEXT NOT NULL,
  detail    TEXT NOT NULL,
  created   BIGINT NOT NULL,
  died      BIGINT NOT NULL
);
CREATE INDEX dead_job_bucket ON dead_job (bucket) WHERE bucket >= 0;
-- what has been enqueued once, kept for the retention window; the value is hashed, since it may hold identifiers
CREATE TABLE job_dedup (
  hash  BYTEA PRIMARY KEY,
  at    BIGINT NOT NULL
);
CREATE INDEX job_dedup_at ON job_dedup (at);
