//! Any sequence of calls is answered as a small model of the platform says, and leaves behind what the model has. proptest makes
//! the sequences, and where one fails it finds the shortest that does.

mod play;
mod state;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use self::play::Play;
use self::state::{APPS, PIPELINES, STAGES, State, USERS};

/// One call, of whoever is named first.
#[derive(Clone, Debug)]
pub enum Op {
    Create {
        user: usize,
        app: usize,
    },
    Delete {
        user: usize,
        app: usize,
    },
    Invite {
        user: usize,
        app: usize,
    },
    Dismiss {
        user: usize,
        app: usize,
    },
    Set {
        user: usize,
        app: usize,
        key: usize,
        value: Option<u8>,
    },
    Deploy {
        user: usize,
        app: usize,
        slug: usize,
    },
    Rollback {
        user: usize,
        app: usize,
        version: usize,
    },
    Scale {
        user: usize,
        app: usize,
        quantity: usize,
    },
    Couple {
        user: usize,
        app: usize,
        pipeline: usize,
        stage: usize,
    },
    Uncouple {
        user: usize,
        app: usize,
    },
    Promote {
        user: usize,
        pipeline: usize,
        from: usize,
        to: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let (user, app) = (0..USERS.len(), 0..APPS.len());
    let of = || (user.clone(), app.clone());
    prop_oneof![
        3 => of().prop_map(|(user, app)| Op::Create { user, app }),
        1 => of().prop_map(|(user, app)| Op::Delete { user, app }),
        1 => of().prop_map(|(user, app)| Op::Invite { user, app }),
        1 => of().prop_map(|(user, app)| Op::Dismiss { user, app }),
        3 => (of(), 0..3_usize, proptest::option::of(0..3_u8))
            .prop_map(|((user, app), key, value)| Op::Set { user, app, key, value }),
        4 => (of(), 0..2_usize).prop_map(|((user, app), slug)| Op::Deploy { user, app, slug }),
        2 => (of(), 0..6_usize).prop_map(|((user, app), version)| Op::Rollback { user, app, version }),
        2 => (of(), 0..4_usize).prop_map(|((user, app), quantity)| Op::Scale { user, app, quantity }),
        4 => (of(), 0..PIPELINES.len(), 0..STAGES.len())
            .prop_map(|((user, app), pipeline, stage)| Op::Couple { user, app, pipeline, stage }),
        1 => of().prop_map(|(user, app)| Op::Uncouple { user, app }),
        4 => (of(), 0..PIPELINES.len(), 0..APPS.len())
            .prop_map(|((user, from), pipeline, to)| Op::Promote { user, pipeline, from, to }),
    ]
}

/// A call to an app that is there, for the most part, or the sequences would be full of 404.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    let beginning = (0..APPS.len()).map(|app| Op::Create { user: app % 2, app });
    let beginning: Vec<Op> = beginning.collect();
    proptest::collection::vec(op(), 1..40)
        .prop_map(move |rest| beginning.iter().cloned().chain(rest).collect())
}

#[test]
fn any_sequence_of_calls_is_answered_as_the_model_says() {
    // As many as PROPTEST_CASES says, where somebody wants to look longer.
    let cases = std::env::var("PROPTEST_CASES").map_or(12, |cases| cases.parse().unwrap());
    let config = Config {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let played = TestRunner::new(config).run(&ops(), |ops| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut play = Play::start().await;
            let mut state = State::default();
            for op in &ops {
                let expected = state.apply(op);
                play.call(op, expected).await;
            }
            play.compare(&state).await;
        });
        Ok(())
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
}
