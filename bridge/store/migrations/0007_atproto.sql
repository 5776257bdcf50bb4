-- oldest release that runs on this schema: 0.1
-- how far each firehose was read: everything up to seq is durable
CREATE TABLE firehose_cursor (
  source TEXT PRIMARY KEY,
  seq    BIGINT NOT NULL
);
-- the end of the commit chain of each repo elsewhere that is followed
CREATE TABLE remote_head (
  did   TEXT PRIMARY KEY,
  rev   TEXT NOT NULL,
  data  TEXT NOT NULL,
  stale BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX remote_head_stale ON remote_head (stale, did);
CREATE TABLE chat_cursor (
  bot    TEXT PRIMARY KEY,
  cursor TEXT NOT NULL
);
-- sign-ins under way; nothing here lives longer than the sign-in
CREATE TABLE oauth_blob (
  name    TEXT PRIMARY KEY,
  blob    BYTEA NOT NULL,
  expires BIGINT NOT NULL
);
CREATE INDEX oauth_blob_expires ON oauth_blob (expires);
