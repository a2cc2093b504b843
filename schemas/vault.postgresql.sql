CREATE TABLE file (
    file_key TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    sealed BYTEA NOT NULL,
    CONSTRAINT pk_file PRIMARY KEY (file_key)
);

CREATE TABLE meta (
    name TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    sealed BYTEA NOT NULL,
    CONSTRAINT pk_meta PRIMARY KEY (name)
);

CREATE TABLE series (
    uid TEXT NOT NULL,
    source_digest TEXT NOT NULL,
    study TEXT NOT NULL,
    patient TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    sealed BYTEA NOT NULL,
    CONSTRAINT pk_series PRIMARY KEY (uid, source_digest)
);

CREATE INDEX ix_series_patient ON series (patient);

CREATE INDEX ix_series_study ON series (study);
