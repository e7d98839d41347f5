//! The two faces of the font: how wide texts are, and the glyphs that draw them.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// Regular and bold.
pub(super) struct Faces {
    regular: Face,
    bold: Face,
}

impl Faces {
    pub(super) fn load() -> Result<Self, String> {
        Ok(Self { regular: Face::load(ttf_noto_sans::REGULAR)?, bold: Face::load(ttf_noto_sans::BOLD)? })
    }

    pub(super) fn of(&self, bold: bool) -> &Face {
        if bold { &self.bold } else { &self.regular }
    }
}

/// One face.
pub(super) struct Face {
    font: Font,
    parsed: FontRef<'static>,
    per_em: f64,
    /// How much higher capitals are than small letters, of an em.
    above_capitals: f64,
}

/// Letters that stand over the letter before them.
fn is_mark(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

impl Face {
    fn load(bytes: &'static [u8]) -> Result<Self, String> {
        let parsed = FontRef::new(bytes).map_err(|error| format!("the font cannot be read: {error}"))?;
        let font = Font::new(bytes.into(), 0).ok_or("the font cannot be embedded")?;
        let metrics = parsed.metrics(Size::unscaled(), LocationRef::default());
        let per_em = f64::from(metrics.units_per_em);
        let height = |known: Option<f32>, usual: f64| known.map_or(usual, |height| f64::from(height) / per_em);
        let above_capitals = height(metrics.cap_height, 0.71) - height(metrics.x_height, 0.54);
        Ok(Self { font, parsed, per_em, above_capitals })
    }

    pub(super) fn font(&self) -> Font {
        self.font.clone()
    }

    /// Letters with their glyphs and advances, of an em. A letter that the font lacks is the box that stands for all such.
    fn placed<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (usize, char, skrifa::GlyphId, f64)> + 't {
        let (letters, widths) =
            (self.parsed.charmap(), self.parsed.glyph_metrics(Size::unscaled(), LocationRef::default()));
        text.char_indices().map(move |(at, letter)| {
            let glyph = letters.map(letter).unwrap_or(skrifa::GlyphId::NOTDEF);
            (at, letter, glyph, f64::from(widths.advance_width(glyph).unwrap_or_default()) / self.per_em)
        })
    }

    /// How wide a text is, points.
    pub(super) fn width(&self, text: &str, size: f64) -> f64 {
        self.placed(text).map(|(_, _, _, advance)| advance).sum::<f64>() * size
    }

    /// What draws a text: letter by letter, marks over the middle of the letter before them.
    pub(super) fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        let bounds = self.parsed.glyph_metrics(Size::unscaled(), LocationRef::default());
        let mut before: Option<(f64, char)> = None;
        let mut glyphs = Vec::with_capacity(text.len());
        for (at, letter, glyph, advance) in self.placed(text) {
            let (mut right, mut up) = (0.0, 0.0);
            if is_mark(letter)
                && let (Some((wide, base)), Some(own)) = (before, bounds.bounds(glyph))
            {
                let middle = f64::from(own.x_min + own.x_max) / 2.0 / self.per_em;
                right = -wide / 2.0 - middle;
                up = if base.is_uppercase() { self.above_capitals } else { 0.0 };
            } else {
                before = Some((advance, letter));
            }
            glyphs.push(KrillaGlyph::new(
                GlyphId::new(glyph.to_u32()),
                advance as f32,
                right as f32,
                up as f32,
                0.0,
                at..at + letter.len_utf8(),
                None,
            ));
        }
        glyphs
    }

    /// Breaks a text into lines that are not wider than `wide`: between words, and within those that are too long.
    pub(super) fn lines(&self, text: &str, size: f64, wide: f64) -> Vec<String> {
        let mut lines = Vec::new();
        for paragraph in text.split('\n') {
            let mut line = String::new();
            for word in paragraph.split(' ') {
                let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
                if self.width(&longer, size) <= wide {
                    line = longer;
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                let mut pieces = self.pieces(word, size, wide);
                line = pieces.pop().unwrap_or_default();
                lines.append(&mut pieces);
            }
            lines.push(line);
        }
        lines
    }

    /// A word in pieces that fit.
    fn pieces(&self, word: &str, size: f64, wide: f64) -> Vec<String> {
        let mut pieces = vec![String::new()];
        let mut used = 0.0;
        for (_, letter, _, advance) in self.placed(word) {
            let advance = advance * size;
            if used + advance > wide && used > 0.0 {
                pieces.push(String::new());
                used = 0.0;
            }
            used += advance;
            if let Some(piece) = pieces.last_mut() {
                piece.push(letter);
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_reports_write() {
        let faces = Faces::load().unwrap();
        for face in [faces.of(false), faces.of(true)] {
            for letter in "σμλ±–−≤≥…′·×²°ÄÖÜäöüßéŁЖ“”’\u{304}".chars() {
                let (_, _, glyph, _) = face.placed(&letter.to_string()).next().unwrap();
                assert_ne!(glyph, skrifa::GlyphId::NOTDEF, "{letter}");
            }
        }
    }

    #[test]
    fn a_letter_that_is_missing_is_a_box_and_no_crash() {
        let faces = Faces::load().unwrap();
        let face = faces.of(false);
        assert_eq!(face.glyphs("中").len(), 1);
        assert!(face.width("中", 10.0) > 0.0);
    }

    #[test]
    fn lines_fit_and_nothing_is_lost() {
        let faces = Faces::load().unwrap();
        let face = faces.of(false);
        let text = "limits are estimated fromthesetwentyfivesubgroupswithoutanyspace at all\nand so on";
        let lines = face.lines(text, 8.0, 60.0);
        assert!(lines.iter().all(|line| face.width(line, 8.0) <= 60.0), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace([' ', '\n'], ""));
        assert_eq!(face.lines("", 8.0, 60.0), [""]);
    }

    #[test]
    fn a_mark_stands_over_its_letter() {
        let faces = Faces::load().unwrap();
        let glyphs = faces.of(false).glyphs("X\u{304}");
        assert_eq!(glyphs.len(), 2);
        assert!(glyphs[1].y_offset > 0.1, "{glyphs:?}");
        assert_eq!(glyphs[1].x_advance, 0.0);
    }
}
