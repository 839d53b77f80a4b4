use std::sync::Arc;

use super::*;

#[tokio::test]
async fn what_an_answer_keeps_is_given_back_when_it_has_been_taken() {
    let place = Arc::new(());
    let whole = vec![7; 3 * PIECE + 1];
    let mut body = Body::from(whole.clone()).holding(Arc::clone(&place));
    let mut taken = Vec::new();
    while let Some(piece) = body.frame().await {
        assert_eq!(Arc::strong_count(&place), 2, "it has not been taken yet");
        let piece = piece.unwrap().into_data().unwrap();
        assert!(piece.len() <= PIECE, "a connection never has all of it");
        taken.extend_from_slice(&piece);
        assert_eq!(body.is_end_stream(), taken.len() == whole.len());
        assert_eq!(body.size_hint().exact(), Some((whole.len() - taken.len()) as u64));
    }
    assert!(taken == whole);
    drop(body);
    assert_eq!(Arc::strong_count(&place), 1);
}
