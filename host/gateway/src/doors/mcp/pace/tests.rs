use super::*;

#[test]
fn what_is_said_is_bounded_at_once_and_in_time() {
    let pace = Pace::new();
    let start = Instant::now();
    let said = |after: u64, messages: usize| {
        (0..messages).filter(|_| pace.take_at(start + Duration::from_millis(after)).is_ok()).count()
    };
    assert_eq!(said(0, 1_000), 500);
    assert_eq!([said(19, 1), said(20, 2), said(39, 1), said(40, 1)], [0, 1, 0, 1], "one in 20 milliseconds");
    assert_eq!(said(1_040, 1_000), 50);
    assert_eq!(said(3_600_000, 1_000), 500, "never more than at the start");
}

#[test]
fn a_flood_is_told_of_now_and_then() {
    let pace = Pace::new();
    let start = Instant::now();
    let lines: Vec<u64> =
        (0..200_000).filter_map(|at| pace.take_at(start + Duration::from_micros(100 * at)).err()?.say).collect();
    assert_eq!(lines.len(), 2, "in 20 seconds: {lines:?}");
    assert_eq!(lines.first(), Some(&1), "at once");
}
