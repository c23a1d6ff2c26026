//! What is wanted, what is there, and what is then to be done.

use super::planned;

#[test]
fn each_situation_has_its_plan() {
    let table = [
        // What is wanted, what is there, what is to be done.
        ("", "", ""),
        (
            "web=2 worker=1",
            "",
            "start:web.1 start:web.2 start:worker.1",
        ),
        ("web=1", "web.1@2:up", ""),
        ("web=1", "web.1@2:starting", ""),
        // A new release: new web dynos come up beside the old ones, which go together when all of the new are there.
        ("web=2", "web.1@1:up web.2@1:up", "start:web.1 start:web.2"),
        (
            "web=2",
            "web.1@1:up web.2@1:up web.1@2:up web.2@2:starting",
            "",
        ),
        (
            "web=2",
            "web.1@1:up web.2@1:up web.1@2:up web.2@2:up",
            "superseded:web.1@1 superseded:web.2@1",
        ),
        // It never comes up: the old one serves on.
        ("web=1", "web.1@1:up web.1@2:crashed:in5s", ""),
        (
            "web=1",
            "web.1@1:up web.1@2:crashed:3crashes",
            "start:web.1/3",
        ),
        // A stale one that serves nobody goes at once.
        (
            "web=1",
            "web.1@1:starting",
            "start:web.1 superseded:web.1@1",
        ),
        (
            "web=1",
            "web.1@1:crashed:in5s",
            "remove:web.1@1 start:web.1",
        ),
        // What served while the newer release did not come up is started again beside it, whatever has ended it.
        (
            "web=1",
            "web.1@1:crashed:served",
            "start:web.1 start:web.1@1/0",
        ),
        (
            "web=1",
            "web.1@1:crashed:served:2crashes:in1s web.1@2:crashed:4crashes:in5s",
            "",
        ),
        ("web=1", "web.1@1:starting:served web.1@2:starting", ""),
        (
            "web=1",
            "web.1@1:crashed:served:2crashes web.1@2:up:served",
            "remove:web.1@1",
        ),
        (
            "web=1",
            "web.1@1:starting:served web.1@2:up:served",
            "superseded:web.1@1",
        ),
        (
            "web=1",
            "web.1@1:crashed:served web.1@1:up:served web.1@2:starting",
            "",
        ),
        (
            "web=1",
            "web.1@1:crashed:served web.2@1:crashed:served web.1@2:starting",
            "remove:web.2@1 start:web.1@1/0",
        ),
        ("", "web.1@1:crashed:served", "remove:web.1@1"),
        ("web=1", "web.1@2:crashed:served", "start:web.1/0"),
        (
            "web=2",
            "web.1@2:crashed:served:1crashes web.2@2:up:served",
            "start:web.1/1",
        ),
        // A release in between that came up in one place only never served.
        (
            "web=2",
            "web.1@0:up:served web.2@0:up:served web.1@1:up:served web.1@2:starting web.2@2:starting",
            "superseded:web.1@1",
        ),
        (
            "web=2",
            "web.1@0:crashed:served:1crashes:in5s web.2@0:up:served web.1@1:up:served web.1@2:starting web.2@2:starting",
            "",
        ),
        (
            "worker=1",
            "worker.1@1:crashed:served",
            "remove:worker.1@1 start:worker.1",
        ),
        // A worker must not run twice at once.
        ("worker=1", "worker.1@1:up", "restart:worker.1@1"),
        ("worker=1", "worker.1@1:starting", "restart:worker.1@1"),
        ("worker=1", "worker.1@1:down", "end:worker.1@1"),
        (
            "worker=1",
            "worker.1@1:crashed",
            "remove:worker.1@1 start:worker.1",
        ),
        // A restart is as a release; a resize too.
        ("web=1", "web.1@2:up:restart", "start:web.1"),
        (
            "web=2",
            "web.1@2:up:restart web.2@2:up web.1@2:up",
            "superseded:web.1@2",
        ),
        ("worker=1", "worker.1@2:up:restart", "restart:worker.1@2"),
        ("web=1", "web.1@2:up:large", "start:web.1"),
        // Scaled down, gone, deleted, or without a slug: it is no longer wanted.
        ("web=1", "web.1@2:up web.2@2:up", "surplus:web.2@2"),
        (
            "web=1",
            "web.1@1:up web.2@1:up",
            "start:web.1 surplus:web.2@1",
        ),
        (
            "",
            "web.1@2:up clock.1@2:crashed",
            "remove:clock.1@2 surplus:web.1@2",
        ),
        ("", "web.1@2:down", "end:web.1@2"),
        // A crash, and the wait that follows.
        ("web=1", "web.1@2:crashed:1crashes", "start:web.1/1"),
        ("web=1", "web.1@2:crashed:2crashes:in1s", ""),
        (
            "worker=1",
            "worker.1@2:crashed:1crashes worker.1@2:down",
            "end:worker.1@2",
        ),
        // The clock went back by a year: what was written before is no reason to wait for so long.
        (
            "web=1",
            "web.1@2:crashed:1crashes:in31536000s",
            "start:web.1/1",
        ),
        // A one-off dyno is launched once, and no release and no formation is its affair.
        ("", "run.1234@1:starting:waiting", "launch:run.1234@1"),
        ("", "run.1234@1:starting:once", ""),
        ("web=1", "web.1@2:up web.1234@1:up:once", ""),
        ("", "run.1234@2:up:once:restart", "stopped:run.1234@2"),
        ("", "run.1234@2:up:once:over", "expired:run.1234@2"),
        ("", "run.1234@2:down:once", "end:run.1234@2"),
        (
            "",
            "run.1234@2:starting:waiting:restart",
            "remove:run.1234@2",
        ),
        ("", "run.1234@2:starting:waiting:over", "remove:run.1234@2"),
        // An app sleeps while all of it does, and what was there goes.
        ("web=2:eco", "web.1@2:idle:eco web.2@2:idle:eco", ""),
        (
            "web=1:eco worker=1:eco",
            "web.1@2:idle:eco worker.1@2:idle:eco web.1@2:down:eco",
            "end:web.1@2",
        ),
        ("web=1:eco worker=1", "web.1@2:idle:eco worker.1@2:up", ""),
        (
            "web=1:eco",
            "web.1@2:idle:eco web.2@2:idle:eco",
            "remove:web.2@2",
        ),
        // It wakes up as a whole: when it is asked to, is released anew, scaled up or resized, or has no web dyno any more.
        (
            "web=1:eco worker=1:eco",
            "web.1@2:idle:eco:restart worker.1@2:idle:eco:restart",
            "remove:web.1@2 remove:worker.1@2 start:web.1 start:worker.1",
        ),
        (
            "web=1:eco worker=1:eco",
            "web.1@2:idle:eco:restart worker.1@2:idle:eco",
            "remove:web.1@2 start:web.1 start:worker.1/0",
        ),
        (
            "web=1:eco",
            "web.1@1:idle:eco",
            "remove:web.1@1 start:web.1",
        ),
        ("web=2:eco", "web.1@2:idle:eco", "start:web.1/0 start:web.2"),
        ("web=1", "web.1@2:idle:eco", "remove:web.1@2 start:web.1"),
        (
            "worker=1:eco",
            "web.1@2:idle:eco worker.1@2:idle:eco",
            "remove:web.1@2 start:worker.1/0",
        ),
        // A worker that is still on its way to bed must not run twice.
        (
            "web=1:eco worker=1:eco",
            "web.1@2:idle:eco:restart worker.1@2:idle:eco:restart worker.1@2:down:eco",
            "end:worker.1@2 remove:web.1@2 remove:worker.1@2 start:web.1",
        ),
        // One that is run inside another dyno ends with that, and is not begun without it.
        ("web=1", "web.1@2:up run.1234@2:up:once:inside", ""),
        (
            "web=1",
            "web.1@2:starting run.1234@2:starting:waiting:inside",
            "launch:run.1234@2",
        ),
        (
            "",
            "web.1@2:down run.1234@2:up:once:inside",
            "end:web.1@2 stopped:run.1234@2",
        ),
        (
            "web=1",
            "web.1@2:crashed:1crashes:in5s run.1234@2:starting:waiting:inside",
            "remove:run.1234@2",
        ),
        // Two in one place are one too many; the one that is up stays.
        ("web=1", "web.1@2:up web.1@2:starting", "surplus:web.1@2"),
    ];
    for (wanted, dynos, expected) in table {
        assert_eq!(
            planned(wanted, dynos),
            expected,
            "wanted {wanted}, there {dynos}"
        );
    }
}
