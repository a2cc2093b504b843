"""What a reader of the database may see: views without a moment, a run or a file, granted in place of the tables.

A row's time beside a shifted study date would undo the shift, and so would anything that leads to one: runs, sizes and
times of files, keys and digests of sources, versions of the code. Rows come in the order of their ids, which say
nothing: in the order in which they were written they would tell whose study was whose neighbour. Patients who opted
out are not shown.
"""

STANDING = "NOT EXISTS (SELECT 1 FROM exclusion WHERE exclusion.patient = {0}.patient AND exclusion.lifted IS NULL)"

READER_SERIES = f"""\
CREATE VIEW reader_series AS
SELECT series.id, series.patient, series.barred, series.study, series.uid, series.modality, series.state,
    series.series_digest, series.profile_digest, series.site, series.scanner, series.sex, series.age,
    series.body_part, series.head, series.description, series.slices, series.layouts, series.slice_thickness,
    series.completeness
FROM series
WHERE series.state IN ('accepted', 'superseded') AND {STANDING.format("series")}
ORDER BY series.id"""  # noqa: S608  (our own names)

READER_PREDICTION = f"""\
CREATE VIEW reader_prediction AS
SELECT prediction.id, prediction.subject, prediction.patient, prediction.series_id, prediction.series_digest,
    prediction.layout_digest, prediction.input_digest, prediction.model_id, prediction.model_digest,
    prediction.grid_digest, prediction.generation, prediction.label, prediction.withheld, prediction.completeness,
    series.state = 'erased' AS input_erased, probability.class, probability.value AS probability,
    prediction.stage
FROM prediction
JOIN series ON series.id = prediction.series_id
JOIN probability ON probability.prediction_id = prediction.id
WHERE {STANDING.format("prediction")}
ORDER BY prediction.id, probability.position"""  # noqa: S608

READER_MODEL = """\
CREATE VIEW reader_model AS
SELECT model.id, model.name, model.version, model.stage, model.task_digest, model.cohort_digest, model.seed,
    model.model_digest, model.grid_digest, model.metrics,
    (SELECT count(*) FROM flag WHERE flag.model_id = model.id) AS flags
FROM model
ORDER BY model.id"""

VIEWS = {"reader_series": READER_SERIES, "reader_prediction": READER_PREDICTION, "reader_model": READER_MODEL}
"""By name, in the words of both databases."""
