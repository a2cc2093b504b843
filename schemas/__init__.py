"""The shapes that others rely on: migrations, golden DDL and JSON Schemas. Installed as `medflow_schemas`."""
