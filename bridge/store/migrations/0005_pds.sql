-- oldest release that runs on this schema: 0.1
-- the repos hosted here; a deleted one stays as a row, so that its status can be told
CREATE TABLE repo (
  id      BIGINT PRIMARY KEY,
  did     TEXT NOT NULL UNIQUE,
  handle  TEXT NOT NULL,
  owner   TEXT NOT NULL,
  status  TEXT NOT NULL,
  head    TEXT NOT NULL,
  data    TEXT NOT NULL,
  rev     TEXT NOT NULL,
  block   BYTEA NOT NULL,
  records BIGINT NOT NULL,
  created BIGINT NOT NULL
);
CREATE UNIQUE INDEX repo_handle ON repo (handle) WHERE handle <> '';
-- the nodes of the current trees, no others
CREATE TABLE repo_node (
  repo BIGINT NOT NULL,
  cid  BYTEA NOT NULL,
  data BYTEA NOT NULL,
  rev  TEXT NOT NULL,
  PRIMARY KEY (repo, cid)
);
-- paths are bytes, so that both engines order them alike
CREATE TABLE repo_record (
  repo BIGINT NOT NULL,
  path BYTEA NOT NULL,
  cid  BYTEA NOT NULL,
  data BYTEA NOT NULL,
  rev  TEXT NOT NULL,
  PRIMARY KEY (repo, path)
);
CREATE TABLE repo_collection (
  nsid  TEXT NOT NULL,
  repo  BIGINT NOT NULL,
  count BIGINT NOT NULL,
  PRIMARY KEY (nsid, repo)
);
CREATE INDEX repo_collection_repo ON repo_collection (repo);
-- the sequencer's log: frames as they go over the wire
CREATE TABLE repo_event (
  seq   BIGINT PRIMARY KEY,
  repo  BIGINT NOT NULL,
  kind  TEXT NOT NULL,
  frame BYTEA NOT NULL,
  at    BIGINT NOT NULL
);
CREATE INDEX repo_event_repo ON repo_event (repo);
CREATE INDEX repo_event_at ON repo_event (at);
CREATE TABLE repo_blob (
  repo    BIGINT NOT NULL,
  cid     TEXT NOT NULL,
  mime    TEXT NOT NULL,
  size    BIGINT NOT NULL,
  width   BIGINT NOT NULL,
  height  BIGINT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (repo, cid)
);
CREATE INDEX repo_blob_cid ON repo_blob (cid);
CREATE TABLE repo_blob_ref (
  repo BIGINT NOT NULL,
  cid  TEXT NOT NULL,
  path BYTEA NOT NULL,
  PRIMARY KEY (repo, cid, path)
);
CREATE INDEX repo_blob_ref_path ON repo_blob_ref (repo, path);
-- codes with which an owner opens a session to move away
CREATE TABLE repo_code (
  repo BIGINT PRIMARY KEY,
  hash BYTEA NOT NULL,
  ends BIGINT NOT NULL
);
