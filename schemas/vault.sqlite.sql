CREATE TABLE alias (
    old TEXT NOT NULL,
    sealed BLOB NOT NULL,
    CONSTRAINT pk_alias PRIMARY KEY (old)
);

CREATE TABLE data_key (
    patient TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    CONSTRAINT pk_data_key PRIMARY KEY (patient)
);

CREATE TABLE file (
    file_key TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    patient TEXT,
    CONSTRAINT pk_file PRIMARY KEY (file_key)
);

CREATE INDEX ix_file_patient ON file (patient);

CREATE TABLE link (
    old TEXT NOT NULL,
    sealed BLOB NOT NULL,
    CONSTRAINT pk_link PRIMARY KEY (old)
);

CREATE TABLE meta (
    name TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    CONSTRAINT pk_meta PRIMARY KEY (name)
);

CREATE TABLE quarantine_copy (
    file_key TEXT NOT NULL,
    patient TEXT NOT NULL,
    expires TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    CONSTRAINT pk_quarantine_copy PRIMARY KEY (file_key)
);

CREATE INDEX ix_quarantine_copy_expires ON quarantine_copy (expires);

CREATE INDEX ix_quarantine_copy_patient ON quarantine_copy (patient);

CREATE TABLE series (
    uid TEXT NOT NULL,
    source_digest TEXT NOT NULL,
    study TEXT NOT NULL,
    patient TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    CONSTRAINT pk_series PRIMARY KEY (uid, source_digest)
);

CREATE INDEX ix_series_patient ON series (patient);

CREATE INDEX ix_series_study ON series (study);
