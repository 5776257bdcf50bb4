-- oldest release that runs on this schema: 0.1
-- who is who: native id, copy, handle
CREATE TABLE account (
  subject      TEXT PRIMARY KEY,
  native       TEXT NOT NULL,
  actor        TEXT NOT NULL,
  did          TEXT NOT NULL,
  handle       TEXT NOT NULL,
  acct         TEXT NOT NULL,
  acct_folded  TEXT NOT NULL,
  url          TEXT NOT NULL,
  inbox        TEXT NOT NULL,
  shared_inbox TEXT NOT NULL,
  status       TEXT NOT NULL,
  incarnation  BIGINT NOT NULL,
  epoch        BIGINT NOT NULL,
  created      BIGINT NOT NULL,
  updated      BIGINT NOT NULL
);
CREATE UNIQUE INDEX account_actor ON account (actor) WHERE actor <> '';
CREATE UNIQUE INDEX account_did ON account (did) WHERE did <> '';
CREATE UNIQUE INDEX account_handle ON account (handle) WHERE handle <> '';
CREATE INDEX account_acct ON account (acct_folded);
-- key material, sealed: see identity.Keyring
CREATE TABLE sealed_key (
  owner   TEXT NOT NULL,
  purpose TEXT NOT NULL,
  sealed  BYTEA NOT NULL,
  PRIMARY KEY (owner, purpose)
);
-- signed PLC operations, kept before they are sent
CREATE TABLE plc_op (
  did  TEXT NOT NULL,
  n    BIGINT NOT NULL,
  cid  TEXT NOT NULL,
  op   BYTEA NOT NULL,
  sent BIGINT NOT NULL,
  PRIMARY KEY (did, cid)
);
