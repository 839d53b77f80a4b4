use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::*;

async fn lines(input: &[u8], limit: usize, capacity: usize) -> Vec<Line> {
    let (mut sink, source) = tokio::io::duplex(capacity);
    let input = input.to_vec();
    tokio::spawn(async move { sink.write_all(&input).await });
    let mut reader = LineReader::new(source, limit);
    let mut out = Vec::new();
    while let Some(line) = reader.next().await.unwrap() {
        out.push(line);
    }
    out
}

#[tokio::test]
async fn lines_are_cut_wherever_the_pieces_end() {
    for capacity in 1..40 {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(
            lines(b"one\ntwo\r\n\n12345678\nlast", 8, capacity).await,
            [whole("one"), whole("two"), whole(""), whole("12345678"), whole("last")]
        );
    }
}

#[tokio::test]
async fn a_long_line_is_skipped_and_the_next_one_is_read() {
    let input = [b"{\"id\":1,".as_slice(), &vec![b'x'; 100_000], b"\nshort\n", &[b'y'; 20]].concat();
    for capacity in [1, 7, 4096, 1_000_000] {
        let out = lines(&input, 16, capacity).await;
        assert_eq!(out.len(), 3);
        assert!(matches!(&out[0], Line::TooLong(beginning) if beginning.starts_with(b"{\"id\":1,")), "{capacity}");
        assert!(matches!(&out[0], Line::TooLong(beginning) if beginning.len() <= LONG_LINE_BEGINNING));
        assert_eq!(out[1], Line::Whole(b"short".to_vec()));
        assert!(matches!(&out[2], Line::TooLong(_)));
    }
}

/// So many bytes of one line, with a pause before each piece.
struct Endless(usize, bool);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        this.1 = !this.1;
        if this.1 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = buffer.remaining().min(this.0);
        this.0 -= count;
        buffer.put_slice(&vec![b'x'; count]);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_line_of_100_mb_takes_no_more_memory_than_its_limit() {
    const LIMIT: usize = 1_000_000;
    let mut reader = LineReader::new(Endless(100_000_000, false), LIMIT);
    let (mut largest, mut looked) = (0, 0);
    let line = loop {
        // Left after each piece, as a pump may leave it: what the reader holds then is all that there is.
        let next = std::future::poll_fn(|context| Poll::Ready(pin!(reader.next()).poll(context))).await;
        largest = largest.max(reader.buffer.capacity());
        looked += 1;
        if let Poll::Ready(line) = next {
            break line.unwrap();
        }
    };
    assert!(matches!(line, Some(Line::TooLong(beginning)) if beginning.len() == LONG_LINE_BEGINNING));
    assert!(looked > 1000, "{looked}");
    assert!(largest <= 2 * (LIMIT + READ), "{largest}");
}

#[tokio::test]
async fn a_written_message_is_one_line() {
    let mut out = Vec::new();
    LineWriter::new(&mut out).write(&Bytes::from_static(b"{\n \"a\":\r\n1}")).await.unwrap();
    assert_eq!(out, b"{  \"a\":  1}\n");
}

#[tokio::test]
async fn a_child_that_ignores_everything_is_killed_with_its_children() {
    let script = "trap '' TERM; sleep 600 & echo $!; wait; wait; sleep 600";
    let target = StdioTarget {
        command: "sh".to_owned(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: Default::default(),
        shared: false,
    };
    let Process { stdin, mut stdout, mut handle } =
        Process::spawn(&"test".into(), &target, Surroundings::Closed, 1000).unwrap();
    let Some(Line::Whole(grandchild)) = stdout.next().await.unwrap() else { panic!("a line") };
    let grandchild: i32 = String::from_utf8(grandchild).unwrap().parse().unwrap();
    drop(stdin);
    let status = handle.stop(Duration::from_millis(200)).await.unwrap();
    assert!(!status.success());
    for _ in 0..100 {
        // A zombie waits for whoever inherits it; it does not run.
        let state = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the grandchild still runs");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let target = StdioTarget {
        command: "/no/such/program".to_owned(),
        arguments: Vec::new(),
        environment: Default::default(),
        shared: false,
    };
    let error = Process::spawn(&"test".into(), &target, Surroundings::Closed, 1000).err().unwrap();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}
