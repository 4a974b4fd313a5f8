from collections.abc import Callable
from pathlib import Path

import pytest

from client.engine.events import Begun, KeysRenewed, PieceStored, Switched
from client.problems import ApiError, CredentialsError, TransferError
from tests.fakes.http_stub import Reply
from tests.unit.client.engine.conftest import Scene
from tests.unit.client.engine.fake_service import problem
from tests.unit.client.engine.fake_store import CUT, once, refusal

DEAD = "http://127.0.0.1:9"
NO_KEYS = CredentialsError("Cognito does not answer", passing=True)
FileOf = Callable[[float], Path]


@pytest.mark.parametrize("transport", ["credentials", "presigned", "relay"])
@pytest.mark.parametrize("parts", [0, 0.5, 1, 1.001, 9.5, 12])
async def test_every_transport_delivers_every_byte_once(
    scene: Scene, file_of: FileOf, transport: str, parts: float
) -> None:
    path = file_of(parts)
    sent = await scene.send(path, transport=transport)
    assert sent.record.status == "completed"
    assert sent.transports == (transport,)
    scene.assert_arrived(path)
    assert sorted(scene.store.numbers) == sorted(set(scene.store.numbers))
    assert scene.service.asked("create") == [transport]


async def test_auto_begins_with_the_records_own_transport(scene: Scene, file: Path) -> None:
    scene.service.transport = "presigned"
    sent = await scene.send(file)
    assert sent.transports == ("presigned",)
    assert scene.service.asked("issue") == []


async def test_with_keys_no_part_is_asked_of_the_service(scene: Scene, file: Path) -> None:
    await scene.send(file)
    assert scene.service.asked("sign") == []
    assert {put.by[:4] for put in scene.store.puts} == {"ASIA"}


async def test_keys_that_die_in_the_middle_are_renewed_once_for_all_parts(
    scene: Scene, file: Path
) -> None:
    def die(_: object) -> None:
        scene.store.dead_keys.add(scene.store.puts[-1].by)

    scene.store.faults = [None, None, None, die]
    sent = await scene.send(file)
    assert sent.transports == ("credentials",)
    assert len(scene.service.asked("issue")) == 2
    scene.assert_arrived(file)
    assert len(scene.of(KeysRenewed)) == 1
    assert scene.store.sent_in_vain() == []


async def test_without_keys_it_goes_on_by_presigned_and_sends_no_finished_part_again(
    scene: Scene, file: Path
) -> None:
    def cognito_stops(_: object) -> None:
        scene.store.dead_keys.add(scene.store.puts[-1].by)
        scene.service.no_keys = NO_KEYS

    scene.store.faults = [None, None, None, None, cognito_stops]
    sent = await scene.send(file)
    assert sent.transports == ("credentials", "presigned")
    scene.assert_arrived(file)
    assert scene.store.sent_in_vain() == []
    [switched] = scene.of(Switched)
    assert (switched.before, switched.to) == ("credentials", "presigned")
    assert switched.reason == "Cognito does not answer"
    assert {event.transport for event in scene.of(PieceStored)} == {"credentials", "presigned"}
    assert len(scene.service.records) == 1


async def test_a_small_file_switches_as_well(scene: Scene, file_of: FileOf) -> None:
    scene.service.no_keys = CredentialsError("the policy allows none")
    sent = await scene.send(file_of(0.5))
    assert sent.transports == ("presigned",)
    assert scene.service.asked("switch") == ["presigned"]
    assert len(scene.service.records) == 1


async def test_credentials_that_were_insisted_on_are_waited_for_but_not_for_ever(
    scene: Scene, file: Path
) -> None:
    scene.service.no_keys = NO_KEYS
    with pytest.raises(CredentialsError, match="Cognito does not answer"):
        await scene.send(file, transport="credentials")
    asked = len(scene.service.asked("issue"))
    assert asked >= 7
    assert scene.store.puts == []
    assert scene.service.record["status"] == "aborted"


async def test_credentials_that_come_back_are_used(scene: Scene, file: Path) -> None:
    scene.service.failing["issue"] = [NO_KEYS, NO_KEYS]
    sent = await scene.send(file, transport="credentials")
    assert sent.transports == ("credentials",)


async def test_what_can_never_be_had_is_not_waited_for(scene: Scene, file: Path) -> None:
    scene.service.no_keys = CredentialsError("the policy allows none")
    with pytest.raises(CredentialsError):
        await scene.send(file, transport="credentials")
    assert scene.service.asked("issue") == [None]


async def test_keys_for_another_folder_are_not_tried(scene: Scene, file: Path) -> None:
    def elsewhere(name: str) -> None:
        if name == "create":
            scene.service.record["key"] = "us-east-1:somebody-else/a"

    scene.service.on_call = elsewhere
    sent = await scene.send(file)
    assert sent.transports == ("presigned",)
    assert {put.by[:8] for put in scene.store.puts} == {"service-"}


async def test_keys_that_the_store_never_takes_give_way_to_addresses(
    scene: Scene, file: Path
) -> None:
    def only_the_services_and_not_at_first(_: object) -> Reply | None:
        mine = scene.store.puts[-1].by.startswith("ASIA")
        refused_anew = len([put for put in scene.store.puts if put.by.startswith("service-")]) == 1
        return refusal("AccessDenied") if mine or refused_anew else None

    scene.store.always = only_the_services_and_not_at_first
    sent = await scene.send(file)
    assert sent.transports == ("presigned",)
    assert scene.of(Switched)[0].reason == "AccessDenied"
    scene.assert_arrived(file)


async def test_a_store_out_of_reach_is_reached_through_the_service(
    scene: Scene, file: Path
) -> None:
    scene.service.store_url = DEAD
    sent = await scene.send(file)
    assert sent.transports == ("relay",)
    scene.assert_arrived(file)


async def test_a_store_that_is_always_cut_off_is_reached_through_the_service(
    scene: Scene, file: Path
) -> None:
    scene.store.always = once(CUT)
    sent = await scene.send(file)
    assert sent.transports == ("relay",)
    scene.assert_arrived(file)


async def test_a_store_that_is_cut_off_later_is_tried_again_another_time(
    scene: Scene, file: Path
) -> None:
    scene.store.faults = [None, None]
    scene.store.always = once(CUT)
    with pytest.raises(TransferError) as caught:
        await scene.send(file)
    assert "--resume" in caught.value.__notes__[0]
    assert scene.service.relayed == []


async def test_what_was_stored_before_is_not_relayed(scene: Scene, file: Path) -> None:
    scene.service.transport = "presigned"

    def unreachable_from_now_on(name: str) -> None:
        if name == "sign" and len(scene.service.asked("sign")) > 1:
            scene.service.store_url = DEAD

    scene.service.on_call = unreachable_from_now_on

    def fifth_refused(_: object) -> Reply | None:
        return refusal("AccessDenied") if scene.store.puts[-1].number == 5 else None

    # All ten addresses come at once, and work; only the fifth part's is asked for again.
    scene.store.always = fifth_refused
    sent = await scene.send(file)
    assert sent.transports == ("presigned", "relay")
    assert [len(body) for _, body in scene.service.relayed][:1] == [1024]
    assert scene.service.relayed[0][0] == "bytes 4096-5119/9728"
    scene.assert_arrived(file)


@pytest.mark.parametrize("transport", ["credentials", "presigned"])
async def test_a_store_out_of_reach_ends_a_transport_that_was_insisted_on(
    scene: Scene, file: Path, transport: str
) -> None:
    scene.service.store_url = DEAD
    with pytest.raises(TransferError, match="no connection"):
        await scene.send(file, transport=transport)
    assert scene.service.relayed == []
    assert scene.service.record["status"] == "aborted"


async def test_a_refusal_of_the_store_is_told_by_its_code_alone(scene: Scene, file: Path) -> None:
    scene.service.transport = "presigned"
    scene.store.always = once(refusal("AccessDenied"))
    with pytest.raises(TransferError) as caught:
        await scene.send(file)
    assert str(caught.value) == "AccessDenied"
    assert scene.service.record["status"] == "aborted"


async def test_presigned_ruled_out_by_the_profile_leaves_the_relay(
    scene: Scene, file: Path
) -> None:
    scene.service.no_keys = NO_KEYS
    scene.service.failing["sign"] = [problem("policy", 403, "switch_transport")]
    sent = await scene.send(file)
    assert sent.transports == ("relay",)
    scene.assert_arrived(file)


async def test_a_refused_announcement_is_the_services_own_problem(scene: Scene, file: Path) -> None:
    scene.service.failing["create"] = [problem("quota_exceeded", 403)]
    with pytest.raises(ApiError) as caught:
        await scene.send(file)
    assert caught.value.code == "quota_exceeded"
    assert scene.store.puts == []


async def test_it_tells_what_there_is_to_do(scene: Scene, file: Path) -> None:
    await scene.send(file)
    assert scene.of(Begun) == [Begun("upl_1", "credentials", 10)]
