import re

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.servers import Servers

pytestmark = pytest.mark.server


async def test_a_committed_transaction_is_read_back_with_its_append_time(servers: Servers, namespace: str) -> None:
    """The local Kafka is the real one: transactions, and the broker's clock."""
    topic = f"{namespace}.stack"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka, transactional_id=f"{namespace}-stack")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"kept", timestamp_ms=1, partition=0)
    await producer.stop()

    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers.kafka, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    assert record.value == b"kept"
    assert record.timestamp_type == 1
    assert record.timestamp > 1


def test_postgres_keeps_utc_and_really_writes_to_disk(servers: Servers) -> None:
    with psycopg.connect(servers.postgres) as connection:
        rows = connection.execute("select current_setting('timezone'), current_setting('fsync')").fetchall()
    assert rows == [("UTC", "on")]


def test_postgres_lets_nobody_in_without_the_password(servers: Servers) -> None:
    """Any user of the machine can reach the port, and a superuser of Postgres can run programs."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(re.sub(r":[^:@]+@", ":wrong@", servers.postgres))
