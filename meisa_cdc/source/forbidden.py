"""Functions that a mapping must not call, and those whose volatility does no harm."""

import re
from collections.abc import Iterable

_POSTGRES = """
    set_config setseed nextval setval lastval currval
    txid_current pg_current_xact_id pg_current_xact_id_if_assigned pg_export_snapshot pg_notify
    pg_sleep pg_sleep_for pg_sleep_until
    pg_cancel_backend pg_terminate_backend pg_reload_conf pg_rotate_logfile pg_promote
    pg_read_file pg_read_binary_file pg_stat_file pg_file_.* pg_ls_.* pg_read_server_.*
    pg_create_.* pg_drop_.* pg_replication_.* pg_logical_.* pg_copy_.* pg_sync_.* pg_switch_.*
    pg_wal_replay_.* pg_backup_.* pg_start_backup pg_stop_backup pg_log_.* pg_import_.*
    pg_restore_.* pg_clear_.* pg_stat_reset.* pg_advisory_.* pg_try_advisory_.* pg_prewarm
    pg_execute_server_program
    lo_.* loread lowrite dblink.* postgres_fdw_.* ts_stat
    query_to_xml.* cursor_to_xml.* table_to_xml.* schema_to_xml.* database_to_xml.*
    query_to_json crosstab.* connectby
"""
_MYSQL = """
    sleep benchmark load_file last_insert_id nextval setval lastval next_value
    get_lock release_lock release_all_locks is_free_lock is_used_lock
    master_pos_wait source_pos_wait master_gtid_wait wait_for_executed_gtid_set
    wait_until_sql_thread_after_gtids
    sys_exec sys_eval sys_get sys_set lib_mysqludf.* asynchronous_.* group_replication_.*
    service_get_.* service_release_locks keyring_.* mysql_firewall_.* set_firewall_.*
    version_tokens_.* audit_.* spider_.*
"""
_SQLITE = """
    load_extension readfile writefile edit fts3_tokenizer lsdir fsdir zipfile sqlar_.*
    sqlite_rename_.* sqlite_drop_.* shell_.* pragma_.*
"""
FUNCTIONS = {
    "postgresql": re.compile("|".join(_POSTGRES.split()), re.IGNORECASE),
    "mysql": re.compile("|".join(_MYSQL.split()), re.IGNORECASE),
    "sqlite": re.compile("|".join(_SQLITE.split()), re.IGNORECASE),
}
#: Volatile to Postgres because they differ from call to call, yet change nothing.
HARMLESS = frozenset(
    {
        "array_sample",
        "array_shuffle",
        "clock_timestamp",
        "gen_random_uuid",
        "random",
        "random_normal",
        "timeofday",
        "uuid_generate_v4",
        "uuidv4",
        "uuidv7",
    }
)


def forbidden_function(dialect: str, names: Iterable[str]) -> str:
    """Return the first of these names that no mapping may call; empty where there is none."""
    pattern = FUNCTIONS[dialect]
    return next((name for name in names if pattern.fullmatch(name)), "")
