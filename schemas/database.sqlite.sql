CREATE TABLE audit (
    seq BIGINT NOT NULL,
    line TEXT NOT NULL,
    hash TEXT NOT NULL,
    prev TEXT NOT NULL,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    run TEXT NOT NULL,
    subject TEXT NOT NULL,
    code TEXT NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (seq)
);

CREATE INDEX ix_audit_run ON audit (run);

CREATE INDEX ix_audit_subject ON audit (subject);

CREATE TABLE audit_head (
    id INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    signature TEXT NOT NULL,
    CONSTRAINT pk_audit_head PRIMARY KEY (id),
    CONSTRAINT ck_audit_head_single CHECK (id = 1)
);

CREATE TABLE code_version (
    digest TEXT NOT NULL,
    version TEXT NOT NULL,
    "commit" TEXT NOT NULL,
    packages JSON NOT NULL,
    CONSTRAINT pk_code_version PRIMARY KEY (digest)
);

CREATE TABLE job (
    id TEXT NOT NULL,
    step TEXT NOT NULL,
    subject TEXT NOT NULL,
    model_digest TEXT NOT NULL,
    generation INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    not_before TEXT,
    owner TEXT,
    token TEXT,
    lease_until TEXT,
    at TEXT NOT NULL,
    CONSTRAINT pk_job PRIMARY KEY (id),
    CONSTRAINT uq_job_natural_key UNIQUE (step, subject, model_digest, generation),
    CONSTRAINT ck_job_state CHECK (state IN ('ready', 'leased', 'done', 'refused', 'dead', 'cancelled')),
    CONSTRAINT ck_job_lease CHECK ((state = 'leased') = (token IS NOT NULL AND lease_until IS NOT NULL))
);

CREATE INDEX ix_job_step_model_digest_state ON job (step, model_digest, state);

CREATE TABLE model (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    stage TEXT NOT NULL,
    task_digest TEXT NOT NULL,
    cohort_digest TEXT NOT NULL,
    seed BIGINT NOT NULL,
    code TEXT NOT NULL,
    model_digest TEXT NOT NULL,
    grid_digest TEXT NOT NULL,
    folder TEXT NOT NULL,
    metrics JSON NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_model PRIMARY KEY (id),
    CONSTRAINT uq_model_natural_key UNIQUE (task_digest, cohort_digest, seed, code),
    CONSTRAINT uq_model_version UNIQUE (name, version),
    CONSTRAINT ck_model_stage CHECK (stage IN ('candidate', 'shadow', 'active', 'retired')),
    CONSTRAINT fk_model_code FOREIGN KEY(code) REFERENCES code_version (digest)
);

CREATE INDEX ix_model_model_digest ON model (model_digest);

CREATE UNIQUE INDEX uq_model_one_active ON model (name) WHERE stage = 'active';

CREATE TABLE run (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    actor TEXT NOT NULL,
    code TEXT NOT NULL,
    state TEXT NOT NULL,
    opened TEXT NOT NULL,
    closed TEXT,
    files_seen BIGINT DEFAULT 0 NOT NULL,
    files_accepted BIGINT DEFAULT 0 NOT NULL,
    files_quarantined BIGINT DEFAULT 0 NOT NULL,
    files_ignored BIGINT DEFAULT 0 NOT NULL,
    members_seen BIGINT DEFAULT 0 NOT NULL,
    members_accepted BIGINT DEFAULT 0 NOT NULL,
    members_quarantined BIGINT DEFAULT 0 NOT NULL,
    members_ignored BIGINT DEFAULT 0 NOT NULL,
    series_accepted BIGINT DEFAULT 0 NOT NULL,
    series_new BIGINT DEFAULT 0 NOT NULL,
    series_refused BIGINT DEFAULT 0 NOT NULL,
    series_withheld BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT pk_run PRIMARY KEY (id),
    CONSTRAINT ck_run_state CHECK (state IN ('open', 'done', 'failed')),
    CONSTRAINT ck_run_closed CHECK ((state = 'open') = (closed IS NULL)),
    CONSTRAINT ck_run_files CHECK (files_seen = files_accepted + files_quarantined + files_ignored),
    CONSTRAINT ck_run_members CHECK (members_seen = members_accepted + members_quarantined + members_ignored),
    CONSTRAINT ck_run_counts CHECK (files_seen >= 0 AND files_accepted >= 0 AND files_quarantined >= 0 AND files_ignored >= 0 AND members_seen >= 0 AND members_accepted >= 0 AND members_quarantined >= 0 AND members_ignored >= 0 AND series_accepted >= 0 AND series_new >= 0 AND series_refused >= 0 AND series_withheld >= 0),
    CONSTRAINT fk_run_code FOREIGN KEY(code) REFERENCES code_version (digest)
);

CREATE INDEX ix_run_opened ON run (opened);

CREATE TABLE cohort (
    id TEXT NOT NULL,
    cohort_digest TEXT NOT NULL,
    task TEXT NOT NULL,
    task_digest TEXT NOT NULL,
    labels JSON NOT NULL,
    dealing JSON NOT NULL,
    left_out JSON NOT NULL,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_cohort PRIMARY KEY (id),
    CONSTRAINT uq_cohort_natural_key UNIQUE (cohort_digest),
    CONSTRAINT fk_cohort_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE TABLE erasure (
    id TEXT NOT NULL,
    patient TEXT NOT NULL,
    state TEXT NOT NULL,
    counts JSON NOT NULL,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_erasure PRIMARY KEY (id),
    CONSTRAINT uq_erasure_natural_key UNIQUE (patient, run, state),
    CONSTRAINT ck_erasure_state CHECK (state IN ('requested', 'done', 'forgotten')),
    CONSTRAINT fk_erasure_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE TABLE evaluation (
    id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    model_digest TEXT NOT NULL,
    cohort_digest TEXT NOT NULL,
    part TEXT NOT NULL,
    examples INTEGER NOT NULL,
    patients INTEGER NOT NULL,
    files JSON NOT NULL,
    metrics JSON NOT NULL,
    code TEXT NOT NULL,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_evaluation PRIMARY KEY (id),
    CONSTRAINT uq_evaluation_natural_key UNIQUE (model_id, cohort_digest, part),
    CONSTRAINT ck_evaluation_part CHECK (part IN ('train', 'select', 'calibrate', 'test')),
    CONSTRAINT fk_evaluation_model_id FOREIGN KEY(model_id) REFERENCES model (id),
    CONSTRAINT fk_evaluation_code FOREIGN KEY(code) REFERENCES code_version (digest),
    CONSTRAINT fk_evaluation_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE TABLE exclusion (
    patient TEXT NOT NULL,
    run TEXT NOT NULL,
    since TEXT NOT NULL,
    lifted TEXT,
    CONSTRAINT pk_exclusion PRIMARY KEY (patient),
    CONSTRAINT fk_exclusion_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE TABLE export (
    id TEXT NOT NULL,
    patient TEXT NOT NULL,
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_export PRIMARY KEY (id),
    CONSTRAINT uq_export_natural_key UNIQUE (kind, patient, place),
    CONSTRAINT fk_export_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE INDEX ix_export_patient ON export (patient);

CREATE TABLE flag (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    patient TEXT NOT NULL,
    model_id TEXT NOT NULL,
    detail JSON NOT NULL,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_flag PRIMARY KEY (id),
    CONSTRAINT uq_flag_natural_key UNIQUE (kind, patient, model_id),
    CONSTRAINT ck_flag_kind CHECK (kind IN ('merged', 'erased', 'excluded')),
    CONSTRAINT fk_flag_model_id FOREIGN KEY(model_id) REFERENCES model (id),
    CONSTRAINT fk_flag_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE INDEX ix_flag_model_id ON flag (model_id);

CREATE TABLE label (
    id TEXT NOT NULL,
    level TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    source TEXT NOT NULL,
    version TEXT NOT NULL,
    line INTEGER,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_label PRIMARY KEY (id),
    CONSTRAINT uq_label_natural_key UNIQUE (level, subject, name, source, version),
    CONSTRAINT ck_label_level CHECK (level IN ('patient', 'study', 'series')),
    CONSTRAINT fk_label_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE INDEX ix_label_name_level ON label (name, level);

CREATE TABLE opening (
    id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    test_digest TEXT NOT NULL,
    cohort_digest TEXT NOT NULL,
    patients INTEGER NOT NULL,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_opening PRIMARY KEY (id),
    CONSTRAINT uq_opening_natural_key UNIQUE (model_id, test_digest),
    CONSTRAINT fk_opening_model_id FOREIGN KEY(model_id) REFERENCES model (id),
    CONSTRAINT fk_opening_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE INDEX ix_opening_test_digest ON opening (test_digest);

CREATE TABLE series (
    id TEXT NOT NULL,
    patient TEXT,
    barred BOOLEAN NOT NULL,
    study TEXT,
    uid TEXT NOT NULL,
    modality TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT NOT NULL,
    source_digest TEXT NOT NULL,
    profile_digest TEXT NOT NULL,
    series_digest TEXT,
    record_digest TEXT,
    folder TEXT,
    source TEXT NOT NULL,
    site TEXT,
    scanner TEXT,
    sex TEXT,
    age INTEGER,
    body_part TEXT,
    head BOOLEAN,
    description TEXT,
    slices INTEGER NOT NULL,
    layouts INTEGER NOT NULL,
    slice_thickness DOUBLE,
    revision INTEGER NOT NULL,
    superseded_by TEXT,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    completeness TEXT,
    evidence JSON,
    CONSTRAINT pk_series PRIMARY KEY (id),
    CONSTRAINT uq_series_natural_key UNIQUE (source_digest, profile_digest),
    CONSTRAINT ck_series_completeness CHECK (completeness IN ('proven', 'quiet-only', 'contradicted')),
    CONSTRAINT ck_series_modality CHECK (modality IN ('CT', 'MR', 'PT', 'CR', 'DX', 'MG', 'OP')),
    CONSTRAINT ck_series_state CHECK (state IN ('accepted', 'withheld', 'refused', 'superseded', 'erased')),
    CONSTRAINT ck_series_reason CHECK ((state IN ('withheld', 'refused', 'erased')) = (reason IS NOT NULL)),
    CONSTRAINT ck_series_erased CHECK (state != 'erased' OR (folder IS NULL AND record_digest IS NULL)),
    CONSTRAINT ck_series_complete CHECK (state IN ('withheld', 'refused', 'erased') OR (patient IS NOT NULL AND study IS NOT NULL AND series_digest IS NOT NULL AND record_digest IS NOT NULL AND folder IS NOT NULL)),
    CONSTRAINT fk_series_superseded_by FOREIGN KEY(superseded_by) REFERENCES series (id),
    CONSTRAINT fk_series_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE INDEX ix_series_patient ON series (patient);

CREATE INDEX ix_series_state_modality ON series (state, modality);

CREATE UNIQUE INDEX uq_series_one_accepted ON series (uid, profile_digest) WHERE state = 'accepted';

CREATE TABLE stage_change (
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    model_id TEXT NOT NULL,
    former TEXT NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT NOT NULL,
    undoes TEXT,
    run TEXT,
    at TEXT NOT NULL,
    CONSTRAINT pk_stage_change PRIMARY KEY (name, number),
    CONSTRAINT ck_stage_change_stage CHECK (stage IN ('candidate', 'shadow', 'active', 'retired')),
    CONSTRAINT fk_stage_change_model_id FOREIGN KEY(model_id) REFERENCES model (id),
    CONSTRAINT fk_stage_change_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE INDEX ix_stage_change_model_id ON stage_change (model_id);

CREATE TABLE example (
    model_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    patient TEXT NOT NULL,
    series_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    layout_digest TEXT NOT NULL,
    label TEXT NOT NULL,
    part TEXT NOT NULL,
    CONSTRAINT pk_example PRIMARY KEY (model_id, position),
    CONSTRAINT ck_example_part CHECK (part IN ('train', 'select', 'calibrate', 'test', 'validation')),
    CONSTRAINT fk_example_model_id FOREIGN KEY(model_id) REFERENCES model (id),
    CONSTRAINT fk_example_series_id FOREIGN KEY(series_id) REFERENCES series (id)
);

CREATE INDEX ix_example_series_id ON example (series_id);

CREATE TABLE file (
    file_key TEXT NOT NULL,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT NOT NULL,
    series_id TEXT,
    first_run TEXT NOT NULL,
    last_run TEXT NOT NULL,
    CONSTRAINT pk_file PRIMARY KEY (file_key),
    CONSTRAINT ck_file_state CHECK (state IN ('accepted', 'quarantined', 'ignored')),
    CONSTRAINT ck_file_reason CHECK ((state = 'accepted') = (reason IS NULL)),
    CONSTRAINT fk_file_series_id FOREIGN KEY(series_id) REFERENCES series (id),
    CONSTRAINT fk_file_first_run FOREIGN KEY(first_run) REFERENCES run (id),
    CONSTRAINT fk_file_last_run FOREIGN KEY(last_run) REFERENCES run (id)
);

CREATE INDEX ix_file_series_id ON file (series_id);

CREATE INDEX ix_file_state_reason ON file (state, reason);

CREATE TABLE member (
    cohort_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    patient TEXT NOT NULL,
    study TEXT NOT NULL,
    series_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    layout_digest TEXT NOT NULL,
    label TEXT NOT NULL,
    part TEXT NOT NULL,
    site TEXT NOT NULL,
    scanner TEXT NOT NULL,
    sex TEXT,
    age_band TEXT,
    slice_thickness DOUBLE,
    CONSTRAINT pk_member PRIMARY KEY (cohort_id, position),
    CONSTRAINT ck_member_part CHECK (part IN ('train', 'select', 'calibrate', 'test')),
    CONSTRAINT fk_member_cohort_id FOREIGN KEY(cohort_id) REFERENCES cohort (id),
    CONSTRAINT fk_member_series_id FOREIGN KEY(series_id) REFERENCES series (id)
);

CREATE INDEX ix_member_patient ON member (patient);

CREATE INDEX ix_member_series_id ON member (series_id);

CREATE TABLE prediction (
    id TEXT NOT NULL,
    subject TEXT NOT NULL,
    patient TEXT NOT NULL,
    series_id TEXT NOT NULL,
    series_digest TEXT NOT NULL,
    layout_digest TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    model_id TEXT NOT NULL,
    model_digest TEXT NOT NULL,
    grid_digest TEXT NOT NULL,
    generation INTEGER NOT NULL,
    label TEXT NOT NULL,
    withheld TEXT,
    code TEXT NOT NULL,
    device TEXT NOT NULL,
    capability TEXT NOT NULL,
    threads INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    dtype TEXT NOT NULL,
    at TEXT NOT NULL,
    completeness TEXT,
    stage TEXT,
    CONSTRAINT pk_prediction PRIMARY KEY (id),
    CONSTRAINT uq_prediction_natural_key UNIQUE (subject, input_digest, model_digest, grid_digest, generation),
    CONSTRAINT fk_prediction_series_id FOREIGN KEY(series_id) REFERENCES series (id),
    CONSTRAINT fk_prediction_model_id FOREIGN KEY(model_id) REFERENCES model (id),
    CONSTRAINT fk_prediction_code FOREIGN KEY(code) REFERENCES code_version (digest)
);

CREATE INDEX ix_prediction_at ON prediction (at);

CREATE INDEX ix_prediction_model_id ON prediction (model_id);

CREATE INDEX ix_prediction_series_id ON prediction (series_id);

CREATE TABLE selection (
    id TEXT NOT NULL,
    task_digest TEXT NOT NULL,
    study TEXT NOT NULL,
    candidates_digest TEXT NOT NULL,
    rule TEXT NOT NULL,
    chosen TEXT,
    reason TEXT,
    detail TEXT NOT NULL,
    candidates INTEGER NOT NULL,
    failures JSON NOT NULL,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT pk_selection PRIMARY KEY (id),
    CONSTRAINT uq_selection_natural_key UNIQUE (task_digest, study, candidates_digest),
    CONSTRAINT ck_selection_reason CHECK ((chosen IS NULL) = (reason IS NOT NULL)),
    CONSTRAINT ck_selection_candidates CHECK (candidates > 0),
    CONSTRAINT fk_selection_chosen FOREIGN KEY(chosen) REFERENCES series (id),
    CONSTRAINT fk_selection_run FOREIGN KEY(run) REFERENCES run (id)
);

CREATE INDEX ix_selection_chosen ON selection (chosen);

CREATE INDEX ix_selection_study ON selection (study);

CREATE TABLE probability (
    prediction_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    class TEXT NOT NULL,
    value DOUBLE NOT NULL,
    CONSTRAINT pk_probability PRIMARY KEY (prediction_id, position),
    CONSTRAINT ck_probability_value CHECK (value >= 0 AND value <= 1),
    CONSTRAINT fk_probability_prediction_id FOREIGN KEY(prediction_id) REFERENCES prediction (id)
);

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed or removed'); END;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed or removed'); END;

CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE (seq = NEW.seq)) BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed or removed'); END;

CREATE TRIGGER code_version_no_update BEFORE UPDATE ON code_version BEGIN SELECT RAISE(ABORT, 'rows of code_version are never changed or removed'); END;

CREATE TRIGGER code_version_no_delete BEFORE DELETE ON code_version BEGIN SELECT RAISE(ABORT, 'rows of code_version are never changed or removed'); END;

CREATE TRIGGER code_version_no_replace BEFORE INSERT ON code_version WHEN EXISTS (SELECT 1 FROM code_version WHERE (digest = NEW.digest)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER cohort_no_update BEFORE UPDATE ON cohort BEGIN SELECT RAISE(ABORT, 'rows of cohort are never changed or removed'); END;

CREATE TRIGGER cohort_no_delete BEFORE DELETE ON cohort BEGIN SELECT RAISE(ABORT, 'rows of cohort are never changed or removed'); END;

CREATE TRIGGER cohort_no_replace BEFORE INSERT ON cohort WHEN EXISTS (SELECT 1 FROM cohort WHERE (id = NEW.id) OR (cohort_digest = NEW.cohort_digest)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER erasure_no_update BEFORE UPDATE ON erasure BEGIN SELECT RAISE(ABORT, 'rows of erasure are never changed or removed'); END;

CREATE TRIGGER erasure_no_delete BEFORE DELETE ON erasure BEGIN SELECT RAISE(ABORT, 'rows of erasure are never changed or removed'); END;

CREATE TRIGGER erasure_no_replace BEFORE INSERT ON erasure WHEN EXISTS (SELECT 1 FROM erasure WHERE (id = NEW.id) OR (patient = NEW.patient AND run = NEW.run AND state = NEW.state)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER evaluation_no_update BEFORE UPDATE ON evaluation BEGIN SELECT RAISE(ABORT, 'rows of evaluation are never changed or removed'); END;

CREATE TRIGGER evaluation_no_delete BEFORE DELETE ON evaluation BEGIN SELECT RAISE(ABORT, 'rows of evaluation are never changed or removed'); END;

CREATE TRIGGER evaluation_no_replace BEFORE INSERT ON evaluation WHEN EXISTS (SELECT 1 FROM evaluation WHERE (id = NEW.id) OR (model_id = NEW.model_id AND cohort_digest = NEW.cohort_digest AND part = NEW.part)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER example_no_update BEFORE UPDATE ON example BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END;

CREATE TRIGGER example_no_delete BEFORE DELETE ON example BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END;

CREATE TRIGGER example_no_replace BEFORE INSERT ON example WHEN EXISTS (SELECT 1 FROM example WHERE (model_id = NEW.model_id AND position = NEW.position)) BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END;

CREATE TRIGGER flag_no_update BEFORE UPDATE ON flag BEGIN SELECT RAISE(ABORT, 'rows of flag are never changed or removed'); END;

CREATE TRIGGER flag_no_delete BEFORE DELETE ON flag BEGIN SELECT RAISE(ABORT, 'rows of flag are never changed or removed'); END;

CREATE TRIGGER flag_no_replace BEFORE INSERT ON flag WHEN EXISTS (SELECT 1 FROM flag WHERE (id = NEW.id) OR (kind = NEW.kind AND patient = NEW.patient AND model_id = NEW.model_id)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER label_no_update BEFORE UPDATE ON label BEGIN SELECT RAISE(ABORT, 'rows of label are never changed or removed'); END;

CREATE TRIGGER label_no_delete BEFORE DELETE ON label BEGIN SELECT RAISE(ABORT, 'rows of label are never changed or removed'); END;

CREATE TRIGGER label_no_replace BEFORE INSERT ON label WHEN EXISTS (SELECT 1 FROM label WHERE (id = NEW.id) OR (level = NEW.level AND subject = NEW.subject AND name = NEW.name AND source = NEW.source AND version = NEW.version)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER member_no_update BEFORE UPDATE ON member BEGIN SELECT RAISE(ABORT, 'rows of member are never changed or removed'); END;

CREATE TRIGGER member_no_delete BEFORE DELETE ON member BEGIN SELECT RAISE(ABORT, 'rows of member are never changed or removed'); END;

CREATE TRIGGER member_no_replace BEFORE INSERT ON member WHEN EXISTS (SELECT 1 FROM member WHERE (cohort_id = NEW.cohort_id AND position = NEW.position)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER opening_no_update BEFORE UPDATE ON opening BEGIN SELECT RAISE(ABORT, 'rows of opening are never changed or removed'); END;

CREATE TRIGGER opening_no_delete BEFORE DELETE ON opening BEGIN SELECT RAISE(ABORT, 'rows of opening are never changed or removed'); END;

CREATE TRIGGER opening_no_replace BEFORE INSERT ON opening WHEN EXISTS (SELECT 1 FROM opening WHERE (id = NEW.id) OR (model_id = NEW.model_id AND test_digest = NEW.test_digest)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER prediction_no_update BEFORE UPDATE ON prediction BEGIN SELECT RAISE(ABORT, 'rows of prediction are never changed or removed'); END;

CREATE TRIGGER prediction_no_delete BEFORE DELETE ON prediction BEGIN SELECT RAISE(ABORT, 'rows of prediction are never changed or removed'); END;

CREATE TRIGGER prediction_no_replace BEFORE INSERT ON prediction WHEN EXISTS (SELECT 1 FROM prediction WHERE (id = NEW.id) OR (subject = NEW.subject AND input_digest = NEW.input_digest AND model_digest = NEW.model_digest AND grid_digest = NEW.grid_digest AND generation = NEW.generation)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER probability_no_update BEFORE UPDATE ON probability BEGIN SELECT RAISE(ABORT, 'rows of probability are never changed or removed'); END;

CREATE TRIGGER probability_no_delete BEFORE DELETE ON probability BEGIN SELECT RAISE(ABORT, 'rows of probability are never changed or removed'); END;

CREATE TRIGGER probability_no_replace BEFORE INSERT ON probability WHEN EXISTS (SELECT 1 FROM probability WHERE (prediction_id = NEW.prediction_id AND position = NEW.position)) BEGIN SELECT RAISE(ABORT, 'rows of probability are never changed or removed'); END;

CREATE TRIGGER selection_no_update BEFORE UPDATE ON selection BEGIN SELECT RAISE(ABORT, 'rows of selection are never changed or removed'); END;

CREATE TRIGGER selection_no_delete BEFORE DELETE ON selection BEGIN SELECT RAISE(ABORT, 'rows of selection are never changed or removed'); END;

CREATE TRIGGER selection_no_replace BEFORE INSERT ON selection WHEN EXISTS (SELECT 1 FROM selection WHERE (id = NEW.id) OR (task_digest = NEW.task_digest AND study = NEW.study AND candidates_digest = NEW.candidates_digest)) BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER stage_change_no_update BEFORE UPDATE ON stage_change BEGIN SELECT RAISE(ABORT, 'rows of stage_change are never changed or removed'); END;

CREATE TRIGGER stage_change_no_delete BEFORE DELETE ON stage_change BEGIN SELECT RAISE(ABORT, 'rows of stage_change are never changed or removed'); END;

CREATE TRIGGER stage_change_no_replace BEFORE INSERT ON stage_change WHEN EXISTS (SELECT 1 FROM stage_change WHERE (name = NEW.name AND number = NEW.number)) BEGIN SELECT RAISE(ABORT, 'rows of stage_change are never changed or removed'); END;

CREATE VIEW reader_series AS
SELECT series.id, series.patient, series.barred, series.study, series.uid, series.modality, series.state,
    series.series_digest, series.profile_digest, series.site, series.scanner, series.sex, series.age,
    series.body_part, series.head, series.description, series.slices, series.layouts, series.slice_thickness,
    series.completeness
FROM series
WHERE series.state IN ('accepted', 'superseded') AND NOT EXISTS (SELECT 1 FROM exclusion WHERE exclusion.patient = series.patient AND exclusion.lifted IS NULL)
ORDER BY series.id;

CREATE VIEW reader_prediction AS
SELECT prediction.id, prediction.subject, prediction.patient, prediction.series_id, prediction.series_digest,
    prediction.layout_digest, prediction.input_digest, prediction.model_id, prediction.model_digest,
    prediction.grid_digest, prediction.generation, prediction.label, prediction.withheld, prediction.completeness,
    series.state = 'erased' AS input_erased, probability.class, probability.value AS probability,
    prediction.stage
FROM prediction
JOIN series ON series.id = prediction.series_id
JOIN probability ON probability.prediction_id = prediction.id
WHERE NOT EXISTS (SELECT 1 FROM exclusion WHERE exclusion.patient = prediction.patient AND exclusion.lifted IS NULL)
ORDER BY prediction.id, probability.position;

CREATE VIEW reader_model AS
SELECT model.id, model.name, model.version, model.stage, model.task_digest, model.cohort_digest, model.seed,
    model.model_digest, model.grid_digest, model.metrics,
    (SELECT count(*) FROM flag WHERE flag.model_id = model.id) AS flags
FROM model
ORDER BY model.id;

INSERT INTO audit_head (id, seq, hash, signature) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', '');
