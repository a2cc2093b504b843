"""What the database itself refuses: changing or removing a row of an append-only table."""

from sqlalchemy import Table, UniqueConstraint

from medflow.store.tables import REPEATABLE

POSTGRESQL_FUNCTION = """\
CREATE FUNCTION medflow_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$"""


def triggers(dialect: str, tables: tuple[Table, ...]) -> tuple[str, ...]:
    """Spell the statements that make `tables` append-only on "sqlite" or "postgresql"."""
    if dialect == "postgresql":
        return (POSTGRESQL_FUNCTION, *(statement for table in tables for statement in _postgresql(table.name)))
    return tuple(statement for table in tables for statement in _sqlite(table))


def _postgresql(name: str) -> tuple[str, str]:
    made = (
        f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name}"
        " FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()"
    )
    return made, f"ALTER TABLE {name} ENABLE ALWAYS TRIGGER {name}_append_only"


def _sqlite(table: Table) -> tuple[str, str, str]:
    name, refusal = table.name, f"rows of {table.name} are never changed or removed"
    unique = [item.columns for item in table.constraints if isinstance(item, UniqueConstraint)]
    keys = [[column.name for column in columns] for columns in (table.primary_key.columns, *unique)]
    same = " OR ".join("(" + " AND ".join(f"{key} = NEW.{key}" for key in names) + ")" for names in keys)
    answer = "RAISE(IGNORE)" if table.info.get(REPEATABLE) else f"RAISE(ABORT, '{refusal}')"
    replaced = f"CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN EXISTS"
    return (
        f"CREATE TRIGGER {name}_no_update BEFORE UPDATE ON {name} BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
        f"CREATE TRIGGER {name}_no_delete BEFORE DELETE ON {name} BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
        # INSERT OR REPLACE removes a row without asking the trigger above
        f"{replaced} (SELECT 1 FROM {name} WHERE {same}) BEGIN SELECT {answer}; END",  # noqa: S608  (our own names)
    )
