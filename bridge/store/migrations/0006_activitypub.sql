-- oldest release that runs on this schema: 0.1
CREATE TABLE follower (
  owner        TEXT NOT NULL,
  actor        TEXT NOT NULL,
  inbox        TEXT NOT NULL,
  shared_inbox TEXT NOT NULL DEFAULT '',
  follow       TEXT NOT NULL,
  since        BIGINT NOT NULL,
  PRIMARY KEY (owner, actor)
);
CREATE INDEX follower_actor ON follower (actor);
-- every inbox that something of an owner was ever posted to: where to send the erasure
CREATE TABLE delivered (
  owner TEXT NOT NULL,
  inbox TEXT NOT NULL,
  PRIMARY KEY (owner, inbox)
);
CREATE TABLE remote_actor (
  id           TEXT PRIMARY KEY,
  raw          BYTEA NOT NULL,
  inbox        TEXT NOT NULL,
  shared_inbox TEXT NOT NULL DEFAULT '',
  fetched      BIGINT NOT NULL
);
CREATE INDEX remote_actor_fetched ON remote_actor (fetched);
CREATE TABLE host_scheme (
  host   TEXT PRIMARY KEY,
  scheme TEXT NOT NULL,
  at     BIGINT NOT NULL
);
