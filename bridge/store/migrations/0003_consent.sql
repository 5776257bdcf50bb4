-- oldest release that runs on this schema: 0.1
-- where each subject stands; always the fold of that subject's ledger entries
CREATE TABLE consent (
  subject     TEXT PRIMARY KEY,
  who         TEXT NOT NULL UNIQUE,
  state       TEXT NOT NULL,
  reason      TEXT NOT NULL,
  scopes      TEXT NOT NULL,
  options     TEXT NOT NULL,
  needs       TEXT NOT NULL,
  forbid      TEXT NOT NULL,
  policy      BIGINT NOT NULL,
  lang        TEXT NOT NULL,
  ledger      BIGINT NOT NULL,
  given       BIGINT NOT NULL,
  incarnation BIGINT NOT NULL,
  since       BIGINT NOT NULL,
  granted     BIGINT NOT NULL,
  expires     BIGINT NOT NULL,
  erase_at    BIGINT NOT NULL,
  reminded    BIGINT NOT NULL,
  due         BIGINT NOT NULL
);
CREATE INDEX consent_due ON consent (due);
-- a no, or an end, without the name
CREATE TABLE consent_suppression (
  who         TEXT PRIMARY KEY,
  state       TEXT NOT NULL,
  reason      TEXT NOT NULL,
  ledger      BIGINT NOT NULL,
  incarnation BIGINT NOT NULL,
  at          BIGINT NOT NULL
);
CREATE TABLE consent_code (
  subject   TEXT PRIMARY KEY,
  hash      TEXT NOT NULL,
  text_hash TEXT NOT NULL,
  lang      TEXT NOT NULL,
  needs     TEXT NOT NULL,
  issued    BIGINT NOT NULL,
  expires   BIGINT NOT NULL
);
CREATE INDEX consent_code_expires ON consent_code (expires);
CREATE TABLE consent_link (
  hash    TEXT PRIMARY KEY,
  subject TEXT NOT NULL,
  purpose TEXT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE INDEX consent_link_subject ON consent_link (subject);
CREATE INDEX consent_link_expires ON consent_link (expires);
CREATE TABLE consent_text (
  hash TEXT PRIMARY KEY,
  lang TEXT NOT NULL,
  body TEXT NOT NULL
);
CREATE TABLE consent_contact (
  who TEXT PRIMARY KEY,
  at  BIGINT NOT NULL
);
CREATE INDEX consent_contact_at ON consent_contact (at);
CREATE TABLE consent_invitation (
  target    TEXT PRIMARY KEY,
  requester TEXT NOT NULL,
  at        BIGINT NOT NULL
);
CREATE INDEX consent_invitation_at ON consent_invitation (at);
CREATE TABLE consent_switch (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
-- the Merkle log; salt, leaf and who are destroyed with a person, the tree stays
CREATE TABLE ledger (
  idx  BIGINT PRIMARY KEY,
  who  TEXT NOT NULL,
  salt BYTEA,
  leaf BYTEA
);
CREATE INDEX ledger_who ON ledger (who, idx);
CREATE TABLE ledger_hash (
  idx  BIGINT PRIMARY KEY,
  hash BYTEA NOT NULL
);
CREATE TABLE ledger_checkpoint (
  size BIGINT PRIMARY KEY,
  note TEXT NOT NULL
);
CREATE TABLE evidence (
  idx    BIGINT PRIMARY KEY,
  who    TEXT NOT NULL,
  type   TEXT NOT NULL,
  sealed BYTEA,
  until  BIGINT NOT NULL
);
CREATE INDEX evidence_who ON evidence (who);
CREATE INDEX evidence_until ON evidence (until);
