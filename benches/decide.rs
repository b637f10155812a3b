//! One check decided in memory, among 100,000 authorizations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

use std::hint::black_box;

use allowlog_projections::decide::decide;
use allowlog_proto::id::AuthorizationId;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const AUTHORIZATIONS: usize = 100_000;

fn bench(criterion: &mut Criterion) {
    let mut world = fixture::World::with_authorizations(AUTHORIZATIONS);
    let mut turn = 0_usize;
    // A stride that is prime to the number visits every authorization, none twice in a row.
    let mut next = move || {
        turn = (turn + 7_919) % AUTHORIZATIONS;
        turn
    };
    let mut group = criterion.benchmark_group("decide");
    let authorizations: Vec<_> = world.authorizations.iter().map(|id| AuthorizationId::parse(id).unwrap()).collect();
    let (state, workspace_id) = (world.state.clone(), world.workspace_id);
    group.bench_function("peer: find the authorization", |bencher| {
        let mut next = next;
        bencher.iter(|| black_box(state.authorization(workspace_id, authorizations[next()])));
    });
    let checks: Vec<_> = world.authorizations.iter().map(|id| world.check(id)).collect();
    group.bench_function("check", |bencher| {
        // The command is warm, as it is behind the parser that has just made it; the authorization is as cold as it is.
        bencher.iter_batched(
            || checks[next()].clone(),
            |check| black_box(decide(&world.state, &check, world.now, &mut world.ids)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
