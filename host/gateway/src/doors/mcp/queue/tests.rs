use std::time::Duration;

use super::*;

fn message(length: usize) -> Bytes {
    vec![b'x'; length].into()
}

#[tokio::test]
async fn what_waits_is_bounded_in_number_and_in_bytes_and_the_oldest_goes() {
    let mut waiting = Waiting::new(100);
    assert_eq!([40, 40, 20].map(|length| waiting.push(message(length))), [0, 0, 0]);
    assert_eq!(waiting.push(message(50)), 2, "as many as it takes");
    let (_sender, mut receiver) = waiting.open(1);
    assert_eq!([receiver.recv().await.unwrap().len(), receiver.recv().await.unwrap().len()], [20, 50]);
    // One message that is longer than the limit is no reason to lose it.
    assert_eq!([waiting.push(message(10)), waiting.push(message(200)), waiting.push(message(1))], [0, 1, 1]);
    waiting.clear();
    assert_eq!((0..100).map(|_| waiting.push(message(1))).sum::<u64>(), 36);
    let (sender, mut receiver) = waiting.open(1);
    for _ in 0..64 {
        assert_eq!(receiver.recv().await.unwrap().len(), 1);
    }
    drop(sender);
    assert!(receiver.recv().await.is_none());
}

#[tokio::test]
async fn a_channel_is_bounded_in_bytes_and_what_is_taken_makes_room() {
    let (sender, mut receiver) = channel(10, 100);
    assert!(sender.try_send(message(60)));
    assert!(!sender.try_send(message(60)), "too many bytes");
    let waiting = sender.clone();
    let waits = tokio::spawn(async move { waiting.send(message(500)).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waits.is_finished());
    assert_eq!(receiver.recv().await.unwrap().len(), 60);
    assert_eq!(receiver.recv().await.unwrap().len(), 500, "longer than all, so alone");
    assert!(waits.await.unwrap());
    assert!(sender.try_send(message(100)));
    let waits = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(message(1)).await }
    });
    drop(receiver);
    assert!(!waits.await.unwrap(), "nobody waits for a receiver that has gone");
    assert!(sender.is_closed());
}
