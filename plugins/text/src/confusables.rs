//! Characters that stand for others: accented letters without their accent (Unicode decompositions), letters of other
//! scripts that look like Latin ones, punctuation in its plain form.

use crate::lookalikes;

/// Stretches of characters from a first code point on; `.` leaves the character as it is.
const BLOCKS: &[(u32, &str)] = &[
    (0xaa, "a"),
    (0xb2, "23.... 1o"),
    (
        0xc0,
        concat!(
            "AAAAAA.CEEEEIIIIDNOOOOO.OUUUUY..aaaaaa.ceeeeiiiidnooooo.ouuuuy.yAaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGg",
            "GgGgHhHhIiIiIiIiIi..JjKkkLlLlLl..LlNnNnNn.NnOoOoOo..RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs",
            "bB.b...CcDD.d.EEEFfG..IIKkl..NnOOo..Pp.....tTtTUu.VYyZz......................AaIiOoUuUuUuUuUueAa",
            "Aa....GgKkOoOo..j...Gg..NnAa....AaAaEeEeIiIiOoOoRrRrUuUuSsTt..Hh......AaEeOoOoOoOoYy...j..ACcLT.",
            "...B..EeJj..RrYyaaabccddee.e...jggGy..h.iiilll.mmmnnno...rrrrrr.R.ss....tu.v...Yzzz......B.GHj.l",
            "q",
        ),
    ),
    (
        0x370,
        concat!(
            ".......... ...;.....  A.EHI.O.Y.iAB..EZH.IK.MN.O.P..TY.X..IYaeniuaby.e.n.ik..v.o.pcotu.x.wiuoyw.",
            "..................................cj.....C",
        ),
    ),
    (
        0x400,
        concat!(
            ".E...SIIJ.....Y.A.B..E.3..K.MHO.PCTY.X......b...a.br.e.3..k.mho.pcty.x......b....e...siij.....y.",
            ".................................................r............................Yy..........Hh.e..",
            "...............lAaAa..Ee.........................................d...........g............QqWw",
        ),
    ),
    (0x53c, "L................U.......O................q.........h.......n....u...g...o"),
    (0x13a0, "D.T..i....AJE......W.P.M...H.......Z..........S...R.W....VS...LC..P...K.............B"),
    (
        0x1d00,
        concat!(
            "a..Bcd.e..jk.m.o........p..tu...vwz.........A.B.DE.GHIJKLMN.O.PRTUWa...bde...g.km.o...ptu..v....",
            "..iruv",
        ),
    ),
    (
        0x1e00,
        concat!(
            "AaBbBbBbCcDdDdDdDdDdEeEeEeEeEeFfGgHhHhHhHhHhIiIiKkKkKkLlLlLlLlMmMmMmNnNnNnNnOoOoOoOoPpPpRrRrRrRr",
            "SsSsSsSsSsTtTtTtTtUuUuUuUuUuVvVvWwWwWwWwWwXxXxYyZzZzZzhtwy.s....AaAaAaAaAaAaAaAaAaAaAaAaEeEeEeEe",
            "EeEeEeEeIiIiOoOoOoOoOoOoOoOoOoOoOoOoUuUuUuUuUuUuUuYyYyYyYy",
        ),
    ),
    (0x2070, "0i..456789+.=()n0123456789+.=().aeox.hklmnpst"),
    (0x2102, "C.......gHHHh.IILl.N..pPQRRR......Z...Z.KABC.eEFFMo....i...........Ddeij"),
    (0x2160, "I...V....X..LCDMi...v....x..lcdm"),
    (0x2460, "123456789"),
    (0x249c, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    (0xa730, "fs"),
];

/// Characters that need more than a letter, by code point.
const SINGLES: &[(char, &str)] = &[
    ('\u{85}', "\n"),
    ('\u{ab}', "\""),
    ('\u{b4}', "'"),
    ('\u{bb}', "\""),
    ('\u{c6}', "AE"),
    ('\u{de}', "Th"),
    ('\u{df}', "ss"),
    ('\u{e6}', "ae"),
    ('\u{fe}', "th"),
    ('\u{132}', "IJ"),
    ('\u{133}', "ij"),
    ('\u{13f}', "L"),
    ('\u{140}', "l"),
    ('\u{149}', "n"),
    ('\u{152}', "OE"),
    ('\u{153}', "oe"),
    ('\u{1c0}', "|"),
    ('\u{1c6}', "dz"),
    ('\u{2b9}', "'"),
    ('\u{2bc}', "'"),
    ('\u{2d0}', ":"),
    ('\u{1e9e}', "SS"),
    ('\u{2010}', "-"),
    ('\u{2011}', "-"),
    ('\u{2012}', "-"),
    ('\u{2013}', "-"),
    ('\u{2014}', "-"),
    ('\u{2015}', "-"),
    ('\u{2018}', "'"),
    ('\u{2019}', "'"),
    ('\u{201a}', "'"),
    ('\u{201b}', "'"),
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{201e}', "\""),
    ('\u{201f}', "\""),
    ('\u{2024}', "."),
    ('\u{2025}', ".."),
    ('\u{2026}', "..."),
    ('\u{2028}', "\n"),
    ('\u{2029}', "\n"),
    ('\u{2032}', "'"),
    ('\u{2033}', "\""),
    ('\u{2039}', "'"),
    ('\u{203a}', "'"),
    ('\u{2044}', "/"),
    ('\u{204e}', "*"),
    ('\u{2212}', "-"),
    ('\u{2215}', "/"),
    ('\u{2217}', "*"),
    ('\u{2223}', "|"),
    ('\u{2236}', ":"),
    ('\u{2758}', "|"),
    ('\u{3001}', ","),
    ('\u{3002}', "."),
    ('\u{fb00}', "ff"),
    ('\u{fb01}', "fi"),
    ('\u{fb02}', "fl"),
    ('\u{fb03}', "ffi"),
    ('\u{fb04}', "ffl"),
    ('\u{fb05}', "st"),
    ('\u{fb06}', "st"),
    ('\u{fe58}', "-"),
    ('\u{fe63}', "-"),
];

/// What a character is folded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folded {
    /// Itself.
    Same,
    /// Nothing: it is not seen.
    Gone,
    /// A character of the plain alphabet.
    Byte(u8),
    /// Several.
    Text(&'static str),
}

/// Folds one character outside ASCII.
pub(crate) fn fold(c: char) -> Folded {
    let code = c as u32;
    match code {
        // Spaces of every width.
        0xa0 | 0x1680 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => return Folded::Byte(b' '),
        // Nothing of these is seen: joiners, marks of direction, fillers, variation selectors, tags.
        0xad
        | 0x34f
        | 0x61c
        | 0x115f
        | 0x1160
        | 0x17b4
        | 0x17b5
        | 0x180b..=0x180f
        | 0x200b..=0x200f
        | 0x202a..=0x202e
        | 0x2060..=0x206f
        | 0x2800
        | 0x3164
        | 0xfe00..=0xfe0f
        | 0xfeff
        | 0xffa0
        | 0xfff0..=0xfffb
        | 0x1d173..=0x1d17a
        | 0xe0000..=0xe0fff => return Folded::Gone,
        // Combining marks.
        0x300..=0x36f | 0x483..=0x489 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f => {
            return Folded::Gone;
        }
        // Full width.
        0xff01..=0xff5e => return byte(code - 0xfee0),
        // Mathematical letters and digits: thirteen alphabets of 52 letters, five rows of ten digits.
        0x1d400..=0x1d6a3 => return letter((code - 0x1d400) % 52),
        0x1d7ce..=0x1d7ff => return byte(0x30 + (code - 0x1d7ce) % 10),
        // Squared, circled and regional capitals.
        0x1f110..=0x1f129 => return letter(code - 0x1f110),
        0x1f130..=0x1f149 => return letter(code - 0x1f130),
        0x1f150..=0x1f169 => return letter(code - 0x1f150),
        0x1f170..=0x1f189 => return letter(code - 0x1f170),
        0x1f1e6..=0x1f1ff => return letter(code - 0x1f1e6),
        _ => {}
    }
    let page = PAGE_OF.get(code as usize / PAGE).copied().unwrap_or(0);
    let place = usize::from(page) * PAGE + code as usize % PAGE;
    match FOLDS.get(place).copied().unwrap_or(SAME) {
        SAME => Folded::Same,
        SEVERAL => single(c, SINGLES).or_else(|| single(c, lookalikes::SINGLES)).map_or(Folded::Same, Folded::Text),
        byte => Folded::Byte(byte),
    }
}

fn single(c: char, singles: &[(char, &'static str)]) -> Option<&'static str> {
    singles.binary_search_by_key(&c, |single| single.0).ok().and_then(|at| singles.get(at)).map(|single| single.1)
}

/// What [`FOLDS`] says of a character that stays, and of one that becomes several. Any other byte is what it becomes.
const SAME: u8 = 0;
const SEVERAL: u8 = 1;
/// Characters of a page, and one past the last character that is in the tables.
const PAGE: usize = 64;
const TOP: usize = 0x20000;
const PAGES: usize = pages(&page_of());
/// Which page of [`FOLDS`] a stretch of characters has. The first page, of characters that stay, stands for most.
static PAGE_OF: [u8; TOP / PAGE] = page_of();
static FOLDS: [u8; PAGES * PAGE] = folds();

/// A table of the blocks: looking for the block of each letter took ten times as long.
#[expect(clippy::indexing_slicing, reason = "made when this is compiled, which fails beyond an end")]
const fn page_of() -> [u8; TOP / PAGE] {
    let mut used = [0; TOP / PAGE];
    let mut list = 0;
    while list < 2 {
        let (blocks, singles) = if list == 0 { (BLOCKS, SINGLES) } else { (lookalikes::BLOCKS, lookalikes::SINGLES) };
        let mut at = 0;
        while at < blocks.len() {
            let (first, letters) = blocks[at];
            let mut letter = 0;
            while letter < letters.len() {
                used[(first as usize + letter) / PAGE] = 1;
                letter += 1;
            }
            at += 1;
        }
        let mut at = 0;
        while at < singles.len() {
            used[singles[at].0 as usize / PAGE] = 1;
            at += 1;
        }
        list += 1;
    }
    let (mut next, mut at) = (1, 0);
    while at < used.len() {
        if used[at] == 1 {
            used[at] = next;
            next += 1;
        }
        at += 1;
    }
    used
}

#[expect(clippy::indexing_slicing, reason = "made when this is compiled, which fails beyond an end")]
const fn pages(page_of: &[u8]) -> usize {
    let (mut most, mut at) = (0, 0);
    while at < page_of.len() {
        if page_of[at] as usize > most {
            most = page_of[at] as usize;
        }
        at += 1;
    }
    most + 1
}

#[expect(clippy::indexing_slicing, reason = "made when this is compiled, which fails beyond an end")]
const fn folds() -> [u8; PAGES * PAGE] {
    let mut folds = [SAME; PAGES * PAGE];
    let page_of = page_of();
    // The later table does not go over the earlier one.
    let mut list = 0;
    while list < 2 {
        let (blocks, singles) = if list == 0 { (BLOCKS, SINGLES) } else { (lookalikes::BLOCKS, lookalikes::SINGLES) };
        let mut at = 0;
        while at < singles.len() {
            let code = singles[at].0 as usize;
            let place = page_of[code / PAGE] as usize * PAGE + code % PAGE;
            if folds[place] == SAME {
                folds[place] = SEVERAL;
            }
            at += 1;
        }
        let mut at = 0;
        while at < blocks.len() {
            let (first, letters) = blocks[at];
            let mut letter = 0;
            while letter < letters.len() {
                let code = first as usize + letter;
                let place = page_of[code / PAGE] as usize * PAGE + code % PAGE;
                let byte = letters.as_bytes()[letter];
                if byte != b'.' && folds[place] == SAME {
                    folds[place] = byte;
                }
                letter += 1;
            }
            at += 1;
        }
        list += 1;
    }
    folds
}

fn byte(code: u32) -> Folded {
    u8::try_from(code).map_or(Folded::Same, Folded::Byte)
}

fn letter(index: u32) -> Folded {
    byte(if index < 26 { 0x41 + index } else { 0x61 + index - 26 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_plain() {
        for (singles, blocks) in [(SINGLES, BLOCKS), (lookalikes::SINGLES, lookalikes::BLOCKS)] {
            assert!(singles.is_sorted_by_key(|single| single.0));
            for (first, letters) in blocks {
                assert!(letters.is_ascii(), "{first:x}");
            }
            for pair in blocks.windows(2) {
                assert!(pair[0].0 as usize + pair[0].1.len() <= pair[1].0 as usize, "{:x}", pair[1].0);
            }
        }
    }

    #[test]
    fn letters_of_many_scripts_become_plain_ones() {
        let of = |text: &str| -> String {
            text.chars()
                .map(|c| match fold(c) {
                    Folded::Byte(byte) => char::from(byte).to_string(),
                    Folded::Text(text) => text.to_string(),
                    Folded::Same => c.to_string(),
                    Folded::Gone => String::new(),
                })
                .collect()
        };
        assert_eq!(of("\u{ff29}\u{ff27}\u{ff2e}\u{ff2f}\u{ff32}\u{ff25}"), "IGNORE");
        assert_eq!(of("\u{1d5f6}\u{1d5f4}\u{1d5fb}\u{1d5fc}\u{1d5ff}\u{1d5f2}"), "ignore");
        assert_eq!(of("\u{456}\u{261}n\u{43e}r\u{435}"), "ignore");
        assert_eq!(of("\u{24d8}\u{24d6}\u{24dd}\u{24de}\u{24e1}\u{24d4}"), "ignore");
        assert_eq!(of("\u{f6}\u{e9}\u{df}\u{fb01}"), "oessfi");
        assert_eq!(of("\u{4f60}\u{597d}"), "\u{4f60}\u{597d}");
    }
}
