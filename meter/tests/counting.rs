//! The counting allocator in a program of its own, whose only test no other thread disturbs.

use std::hint::black_box;

use shardwire_meter::{
    AllocationCounts, CallKind, CountingAllocator, counts, set_counting, watch, watched_calls,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

#[test]
fn counts_each_kind_of_call_and_can_be_switched_off() {
    check(|| (), [0, 0, 0, 0]);
    check(|| drop(black_box(Box::new(7_u64))), [1, 0, 1, 8]);
    check(|| drop(black_box(vec![0_u8; 4096])), [1, 0, 1, 4096]);
    check(
        || {
            let mut bytes = black_box(Vec::<u8>::with_capacity(64));
            bytes.reserve_exact(128);
            drop(black_box(bytes));
        },
        [1, 1, 1, 192],
    );
    assert!(set_counting(false));
    check(|| drop(black_box(Box::new(7_u64))), [0, 0, 0, 0]);
    assert!(!set_counting(true));
    check(|| drop(black_box(Box::new(7_u64))), [1, 0, 1, 8]);
    tells_who_called();
}

/// The first calls come with their backtraces, and taking those is not counted.
fn tells_who_called() {
    watch();
    let before = counts();
    for _ in 0..10 {
        culprit();
    }
    let counted = counts().since(before);
    let calls = watched_calls();
    assert!(counted.allocations >= 10 && counted.allocations < 15, "{counted:?}");
    assert_eq!(calls.len(), 4);
    // The test framework's thread may have come between, so not exactly the first two.
    for kind in [CallKind::Allocation, CallKind::Free] {
        let call = calls.iter().find(|call| call.kind == kind && call.bytes == 4321);
        let text = format!("{:?}", call.expect("it was seen"));
        assert!(text.contains("culprit"), "{text}");
    }
    culprit();
    assert!(watched_calls().is_empty(), "nobody watches any more");
}

#[inline(never)]
fn culprit() {
    drop(black_box(vec![0_u8; 4321]));
}

#[track_caller]
fn check(work: impl Fn(), [allocations, reallocations, frees, bytes]: [u64; 4]) {
    // The test framework has a thread of its own that may allocate now and then; a wrong count
    // is wrong every time.
    let expect = AllocationCounts { allocations, reallocations, frees, bytes };
    let measure = || {
        let before = counts();
        work();
        counts().since(before)
    };
    let seen = std::array::from_fn::<_, 5, _>(|_| measure());
    assert!(seen.contains(&expect), "expected {expect:?}, counted {seen:?}");
}
