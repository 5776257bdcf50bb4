-- oldest release that runs on this schema: 0.1
CREATE TABLE counter (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
-- small facts of the bridge itself: instance keys (sealed), cursors, the lease
CREATE TABLE setting (
  name  TEXT PRIMARY KEY,
  value BYTEA NOT NULL
);
-- what has been accepted already: activity ids, repo revisions
CREATE TABLE seen (
  id  TEXT PRIMARY KEY,
  at  BIGINT NOT NULL
);
CREATE INDEX seen_at ON seen (at);
-- the object map: one row for each part of each thing that exists on both sides
CREATE TABLE object (
  apid     TEXT NOT NULL,
  part     BIGINT NOT NULL DEFAULT 0,
  uri      TEXT NOT NULL UNIQUE,
  cid      TEXT NOT NULL,
  native   TEXT NOT NULL,
  subject  TEXT NOT NULL,
  kind     TEXT NOT NULL,
  target   TEXT NOT NULL DEFAULT '',
  ledger   BIGINT NOT NULL,
  body     BYTEA,
  record   BYTEA,
  version  TEXT NOT NULL DEFAULT '',
  created  BIGINT NOT NULL,
  updated  BIGINT NOT NULL,
  deleted  BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (apid, part)
);
CREATE INDEX object_subject ON object (subject, kind, created);
CREATE INDEX object_target ON object (target);
-- bodies of outgoing activities, one for all the deliveries
CREATE TABLE message (
  id       TEXT PRIMARY KEY,
  subject  TEXT NOT NULL,
  body     BYTEA NOT NULL,
  created  BIGINT NOT NULL
);
CREATE INDEX message_subject ON message (subject);
-- what became of each event of a person, for their own page
CREATE TABLE outcome (
  subject   TEXT NOT NULL,
  source    TEXT NOT NULL,
  kind      TEXT NOT NULL,
  direction TEXT NOT NULL,
  result    TEXT NOT NULL,
  reason    TEXT NOT NULL,
  at        BIGINT NOT NULL,
  PRIMARY KEY (subject, source, kind)
);
CREATE INDEX outcome_at ON outcome (subject, at);
-- ids of erased copies, by keyed hash: they answer that they are gone
CREATE TABLE gone (
  name TEXT PRIMARY KEY,
  at   BIGINT NOT NULL
);
CREATE INDEX gone_at ON gone (at);
-- what the operator decided
CREATE TABLE rule (
  target  TEXT PRIMARY KEY,
  action  TEXT NOT NULL,
  reason  TEXT NOT NULL,
  byline  TEXT NOT NULL,
  at      BIGINT NOT NULL
);
-- who keeps whom away; private, enforced here, published only with a scope of its own
CREATE TABLE block_edge (
  blocker TEXT NOT NULL,
  target  TEXT NOT NULL,
  source  TEXT NOT NULL,
  PRIMARY KEY (blocker, target)
);
CREATE TABLE unbridged (
  subject TEXT PRIMARY KEY,
  n       BIGINT NOT NULL
);
