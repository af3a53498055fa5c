//! Random views of training images: horizontal flip, crop after padding (He et al. 2016), and cutout.
//!
//! What happens to an image is a function of (seed, epoch, row) and of nothing else: neither the batch, the
//! order nor the number of threads, and a resumed run has no state to restore.
//!
//! # References
//! - He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385, section 4.2:
//!   4 pixels of padding on each side and a random window of 32x32 from the image or its flip
//! - DeVries & Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017,
//!   arXiv:1708.04552: a square of zeros whose centre may be any pixel, so that it may reach over the border

use std::fmt;

use candor::random::Stream;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which random changes a training image gets; by default none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Mirrors left and right with probability 1/2.
    pub flip: bool,
    /// Pixels of padding on each side, from which a window of the image's size is cut at random; 0 for none.
    pub crop_padding: usize,
    /// Side of a square that is blanked out around a random pixel, clipped at the border; 0 for none.
    pub cutout: usize,
}

const FORMS: &str = "must be none, or flip, crop:PIXELS and cutout:PIXELS, each once, with commas";

impl Augmentation {
    /// Reads `none`, or `flip`, `crop:PIXELS` and `cutout:PIXELS` with commas: the form that [`fmt::Display`] writes.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn parse(key: &str, text: &str) -> Result<Self> {
        let refused = || Error::config(key, text, FORMS);
        let pixels = |text: &str| text.parse().ok().filter(|pixels| *pixels > 0).ok_or_else(refused);
        let mut wanted = Self::default();
        if text.trim() == "none" {
            return Ok(wanted);
        }
        for part in text.split(',').map(str::trim) {
            match part.split_once(':') {
                Some(("crop", padding)) if wanted.crop_padding == 0 => wanted.crop_padding = pixels(padding)?,
                Some(("cutout", side)) if wanted.cutout == 0 => wanted.cutout = pixels(side)?,
                None if part == "flip" && !wanted.flip => wanted.flip = true,
                _ => return Err(refused()),
            }
        }
        Ok(wanted)
    }

    /// Whether images stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.flip {
            parts.push("flip".to_owned());
        }
        for (name, pixels) in [("crop", self.crop_padding), ("cutout", self.cutout)] {
            if pixels > 0 {
                parts.push(format!("{name}:{pixels}"));
            }
        }
        f.write_str(if parts.is_empty() { "none".to_owned() } else { parts.join(",") }.as_str())
    }
}

/// Makes the views of the images of one run.
#[derive(Debug, Clone)]
pub struct Augmenter {
    augmentation: Augmentation,
    seed: u64,
    /// Channels, height, width.
    shape: [usize; 3],
    /// The byte around the image, for each channel.
    padding: Vec<u8>,
}

impl Augmenter {
    /// For images of `shape` (channels, height, width).
    ///
    /// `padding` has one byte a channel: the byte nearest to the channel's mean, so that the padding is about
    /// 0 after normalisation, as if zeros were put around the normalised image. It is off by half a byte at
    /// most, `0.5 / (255 sd)` after normalisation.
    ///
    /// # Errors
    /// [`candor::Error::Shape`] for another number of padding bytes, [`candor::Error::OutOfRange`] for a
    /// crop with so much padding that a window could miss the image.
    pub fn new(augmentation: Augmentation, seed: u64, shape: [usize; 3], padding: Vec<u8>) -> Result<Self> {
        let [channels, height, width] = shape;
        check_len("the padding", channels, padding.len())?;
        let most = height.min(width).saturating_sub(1);
        if augmentation.crop_padding > most {
            return Err(Error::Core(candor::Error::OutOfRange {
                argument: "the padding of the crop",
                got: augmentation.crop_padding as f64,
                min: 0.0,
                max: most as f64,
                hint: "; more than that and a window could miss the image",
            }));
        }
        Ok(Self { augmentation, seed, shape, padding })
    }

    /// Writes the view of an image in an epoch to `view`, which has the image's size.
    ///
    /// `row` is the image's number in the data set. The crop of an image does not depend on whether flips
    /// are on, nor the flip on the padding, so runs that differ in one share the other.
    ///
    /// # Shapes
    /// - `image`, `view`: `[channels, height, width]`
    ///
    /// # Errors
    /// [`candor::Error::Shape`] if `image` or `view` has another size.
    pub fn apply(&self, epoch: u64, row: u64, image: &[u8], view: &mut [u8]) -> Result<()> {
        let len = self.shape.iter().product();
        check_len("the image", len, image.len())?;
        check_len("the view", len, view.len())?;
        if self.augmentation.is_none() {
            view.copy_from_slice(image);
            return Ok(());
        }
        let mut stream = Stream::new(self.seed, "augment", epoch, row);
        // All are drawn in any case, so that each is the same whatever the others are used for.
        let flip = stream.bernoulli(0.5) && self.augmentation.flip;
        let offsets = 2 * self.augmentation.crop_padding as u64 + 1;
        let (top, left) = (stream.below(offsets) as usize, stream.below(offsets) as usize);
        self.window(top, left, flip, image, view);
        if self.augmentation.cutout > 0 {
            // A stream of its own, for how many draws the crop takes depends on its bounds.
            let mut stream = Stream::new(self.seed, "cutout", epoch, row);
            let [_, height, width] = self.shape;
            let (y, x) = (stream.below(height as u64) as usize, stream.below(width as u64) as usize);
            self.blank(y, x, view);
        }
        Ok(())
    }

    /// Blanks the square around the pixel (y, x): of an even side, one more pixel before it than after.
    fn blank(&self, y: usize, x: usize, view: &mut [u8]) {
        let [_, height, width] = self.shape;
        let side = self.augmentation.cutout;
        let range = |centre: usize, size: usize| {
            let end = (centre + side.div_ceil(2)).min(size);
            centre.saturating_sub(side / 2).min(end)..end
        };
        let (rows, columns) = (range(y, height), range(x, width));
        for (channel, byte) in view.chunks_exact_mut((height * width).max(1)).zip(&self.padding) {
            for row in rows.clone() {
                channel[row * width + columns.start..row * width + columns.end].fill(*byte);
            }
        }
    }

    /// The window at (top, left) of the padded image, then mirrored.
    fn window(&self, top: usize, left: usize, flip: bool, image: &[u8], view: &mut [u8]) {
        let [_, height, width] = self.shape;
        let padding = self.augmentation.crop_padding;
        // The columns of the window that lie in the image, and where they begin there.
        let start = padding.saturating_sub(left);
        let end = (width + padding).saturating_sub(left).min(width);
        let from = left.saturating_sub(padding);
        let area = height * width;
        // Sizes of 0 have no channel, row or pixel to write.
        let channels = image.chunks_exact(area.max(1)).zip(view.chunks_exact_mut(area.max(1)));
        for ((image, view), byte) in channels.zip(&self.padding) {
            for (y, line) in view.chunks_exact_mut(width.max(1)).enumerate() {
                line.fill(*byte);
                if let Some(y) = (y + top).checked_sub(padding).filter(|y| *y < height) {
                    let pixels = &image[y * width..(y + 1) * width];
                    line[start..end].copy_from_slice(&pixels[from..from + end - start]);
                }
                if flip {
                    line.reverse();
                }
            }
        }
    }
}

fn check_len(what: &'static str, expected: usize, got: usize) -> Result<()> {
    if got == expected { Ok(()) } else { Err(Error::Core(candor::Error::Shape { what, expected, got })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [2, 3, 4];
    const PADDING: [u8; 2] = [200, 201];

    fn augmenter(text: &str) -> Augmenter {
        let augmentation = Augmentation::parse("data.augment", text).unwrap();
        Augmenter::new(augmentation, 5, SHAPE, PADDING.to_vec()).unwrap()
    }

    fn image() -> Vec<u8> {
        (0..24).collect()
    }

    fn view(augmenter: &Augmenter, epoch: u64, row: u64) -> Vec<u8> {
        let mut view = vec![255; 24];
        augmenter.apply(epoch, row, &image(), &mut view).unwrap();
        view
    }

    /// The definition, pixel by pixel.
    fn window(top: usize, left: usize, padding: usize, flip: bool) -> Vec<u8> {
        let [_, height, width] = SHAPE;
        let mut view = Vec::new();
        for (channel, byte) in PADDING.into_iter().enumerate() {
            for y in 0..height {
                for x in 0..width {
                    let x = if flip { width - 1 - x } else { x };
                    let (y, x) = ((y + top) as i64 - padding as i64, (x + left) as i64 - padding as i64);
                    let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
                    let at = (channel * height * width) as i64 + y * width as i64 + x;
                    view.push(if inside { image()[at as usize] } else { byte });
                }
            }
        }
        view
    }

    #[test]
    fn windows_are_those_worked_by_hand() {
        let augmenter = augmenter("flip,crop:1");
        let mut view = vec![255; 24];
        // Row by row: the padding above, then the first two lines from their second pixel on.
        augmenter.window(0, 2, false, &image(), &mut view);
        assert_eq!(view[..12], [200, 200, 200, 200, 1, 2, 3, 200, 5, 6, 7, 200]);
        assert_eq!(view[12..], [201, 201, 201, 201, 13, 14, 15, 201, 17, 18, 19, 201]);
        augmenter.window(2, 0, true, &image(), &mut view);
        assert_eq!(view[..12], [6, 5, 4, 200, 10, 9, 8, 200, 200, 200, 200, 200]);
        augmenter.window(1, 1, true, &image(), &mut view);
        assert_eq!(view[..4], [3, 2, 1, 0]);
    }

    #[test]
    fn every_window_is_the_one_of_the_definition() {
        for padding in 1..=2 {
            let augmenter = augmenter(&format!("crop:{padding}"));
            for (top, left, flip) in (0..=2 * padding)
                .flat_map(|top| (0..=2 * padding).map(move |left| (top, left)))
                .flat_map(|(top, left)| [(top, left, false), (top, left, true)])
            {
                let mut view = vec![255; 24];
                augmenter.window(top, left, flip, &image(), &mut view);
                assert_eq!(view, window(top, left, padding, flip), "{padding} {top} {left} {flip}");
            }
        }
    }

    #[test]
    fn views_are_windows_of_the_padded_image_and_all_of_them_occur() {
        let windows: Vec<Vec<u8>> = (0..50).map(|i| window(i / 10, i / 2 % 5, 2, i % 2 == 1)).collect();
        let augmenter = augmenter("flip,crop:2");
        let mut counts = [0_u32; 50];
        for row in 0..20_000 {
            let view = view(&augmenter, 3, row);
            counts[windows.iter().position(|window| *window == view).unwrap()] += 1;
        }
        // 400 expected; six standard deviations of a binomial count.
        assert!(counts.iter().all(|count| count.abs_diff(400) < 120), "{counts:?}");
    }

    #[test]
    fn without_flip_and_crop_nothing_changes() {
        let none = augmenter("none");
        assert!((0..100).all(|row| view(&none, row % 7, row) == image()));
        let flip = augmenter("flip");
        let flipped = (0..1000).filter(|&row| view(&flip, 0, row) == window(0, 0, 0, true)).count();
        assert!((0..1000).all(|row| [image(), window(0, 0, 0, true)].contains(&view(&flip, 0, row))));
        // 500 expected; six standard deviations.
        assert!(flipped.abs_diff(500) < 96, "{flipped}");
    }

    #[test]
    fn a_square_is_blanked_and_clipped_at_the_border() {
        let cutout = augmenter("cutout:2");
        let mut view = image();
        // The rows 0 and 1 and the columns 0 and 1 of both channels.
        cutout.blank(1, 1, &mut view);
        assert_eq!(view[..12], [200, 200, 2, 3, 200, 200, 6, 7, 8, 9, 10, 11]);
        assert_eq!(view[12..16], [201, 201, 14, 15]);
        let mut view = image();
        cutout.blank(0, 0, &mut view);
        assert_eq!(view[..8], [200, 1, 2, 3, 4, 5, 6, 7]);
        let mut view = image();
        augmenter("cutout:99").blank(2, 3, &mut view);
        assert!(view.iter().all(|byte| *byte >= 200));
        // Each of the twelve pixels is as likely to be the centre as any other.
        let single = augmenter("cutout:1");
        let mut counts = [0_u32; 12];
        for row in 0..12_000 {
            let view = self::view(&single, 2, row);
            counts[view[..12].iter().position(|byte| *byte == 200).unwrap()] += 1;
        }
        // 1000 expected; six standard deviations of a binomial count.
        assert!(counts.iter().all(|count| count.abs_diff(1000) < 182), "{counts:?}");
        // The flip and the crop are the same with cutout and without.
        let (with, without) = (augmenter("flip,crop:1,cutout:1"), augmenter("flip,crop:1"));
        for row in 0..50 {
            let (a, b) = (self::view(&with, 0, row), self::view(&without, 0, row));
            assert!(a.iter().zip(&b).filter(|(a, b)| a != b).count() <= 2);
        }
    }

    #[test]
    fn a_view_depends_on_seed_epoch_and_row_alone() {
        let both = augmenter("flip,crop:2");
        let views = |augmenter: &Augmenter, epoch| -> Vec<Vec<u8>> {
            (0..50).map(|row| view(augmenter, epoch, row)).collect()
        };
        let mut backwards: Vec<Vec<u8>> = (0..50).rev().map(|row| view(&both, 1, row)).collect();
        backwards.reverse();
        assert_eq!(views(&both, 1), backwards);
        assert_ne!(views(&both, 1), views(&both, 2));
        assert_ne!(views(&both, 1), views(&Augmenter { seed: 6, ..both.clone() }, 1));
        assert!(views(&both, 1).iter().any(|other| *other != view(&both, 1, 0)));
        // The crop is the same with flips and without.
        let mirrored = |view: Vec<u8>| -> Vec<u8> {
            view.chunks_exact(4).flat_map(|line| line.iter().rev().copied()).collect()
        };
        for (with, without) in views(&both, 1).into_iter().zip(views(&augmenter("crop:2"), 1)) {
            assert!(with == without || with == mirrored(without));
        }
    }

    #[test]
    fn the_text_is_read_and_written_back() {
        let read = |text| Augmentation::parse("data.augment", text).unwrap();
        assert_eq!(read("flip,crop:4"), Augmentation { flip: true, crop_padding: 4, cutout: 0 });
        assert_eq!(read(" crop:4 , flip "), read("flip,crop:4"));
        assert!(read("none").is_none() && !read("flip").is_none());
        for text in ["none", "flip", "crop:12", "flip,crop:4", "cutout:3", "flip,crop:4,cutout:8"] {
            assert_eq!(read(text).to_string(), text);
            let json = serde_json::to_string(&read(text)).unwrap();
            assert_eq!(serde_json::from_str::<Augmentation>(&json).unwrap(), read(text));
        }
        for bad in [
            "",
            "crop",
            "crop:",
            "crop:0",
            "crop:-1",
            "crop:4,crop:4",
            "flip,flip",
            "flip,none",
            "rotate",
            "flip,",
            "cutout:0",
            "cutout:2,cutout:2",
        ] {
            let message = Augmentation::parse("data.augment", bad).unwrap_err().to_string();
            let want = format!("data.augment = {bad}: {FORMS}");
            assert_eq!(message, want);
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let crop = |pixels| Augmentation { crop_padding: pixels, ..Augmentation::default() };
        let message = |augmentation, padding: &[u8]| {
            Augmenter::new(augmentation, 0, SHAPE, padding.to_vec()).unwrap_err().to_string()
        };
        assert_eq!(message(crop(1), &[1]), "the padding has 1 elements, but 2 are needed");
        assert!(
            message(crop(3), &PADDING)
                .starts_with("the padding of the crop is 3, but must be between 0 and 2")
        );
        let augmenter = augmenter("flip");
        let apply =
            |image: &[u8], view: &mut [u8]| augmenter.apply(0, 0, image, view).unwrap_err().to_string();
        assert!(apply(&[0; 23], &mut [0; 24]).starts_with("the image has 23"));
        assert!(apply(&[0; 24], &mut [0; 25]).starts_with("the view has 25"));
        let none =
            Augmenter::new(Augmentation { flip: true, ..Augmentation::default() }, 0, [1, 0, 4], vec![0])
                .unwrap();
        none.apply(0, 0, &[], &mut []).unwrap();
    }
}
