"""The stream of news: who only asks whether it is there takes nobody's seat."""

from gateway.admin import live


def test_a_head_request_takes_no_seat(console):
    for _ in range(live.MOST + 1):
        assert console.client.head("/admin/live").status_code in (200, 204)
    taken = [live._seats.acquire(blocking=False) for _ in range(live.MOST)]
    for _ in filter(None, taken):
        live._seats.release()
    assert all(taken)
