package pds

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// Errors of media preparation. Both are final: another try gives the same.
var (
	// ErrMediaKind: no decoder for it here (AVIF, HEIC, SVG), or nothing that Bluesky shows.
	ErrMediaKind = errors.New("media of a kind that is not shown")
	// ErrMediaLimit: too large to be decoded safely, or to be made small enough.
	ErrMediaLimit = errors.New("media beyond the limits")
)

// ImageLimits say what an image is for.
type ImageLimits struct {
	MaxBytes int // as the lexicon has it
	MaxSide  int // longer sides are scaled down when the image is encoded again
}

// limitsFor gives the limits of app.bsky.embed.images, and those of avatar, banner and card thumbnail.
func limitsFor(kind string) ImageLimits {
	if kind == "avatar" || kind == "banner" || kind == "thumb" {
		return ImageLimits{MaxBytes: 1_000_000, MaxSide: 2000}
	}
	return ImageLimits{MaxBytes: 2_000_000, MaxSide: 4000}
}

const (
	maxSide   = 8192
	maxPixels = 40_000_000
	// maxDecode is how much memory the decoder of one image may take.
	maxDecode = 64 << 20
	minSide   = 64
)

// PrepareMedia makes a file fit for a record. kind is what it is for: "image", "video", or "avatar", "banner", "thumb".
// The result has its bytes, type, size as shown, and CID; Host.StageBlob keeps it.
func PrepareMedia(raw []byte, kind string) (Blob, error) {
	var b Blob
	var err error
	if kind == "video" {
		b, err = PrepareVideo(raw)
	} else {
		b, err = PrepareImage(raw, limitsFor(kind))
	}
	if err != nil {
		return Blob{}, err
	}
	id, err := rawCID(b.Bytes)
	b.CID, b.Size = id.String(), int64(len(b.Bytes))
	return b, err
}

// PrepareImage makes an image fit for the network: a JPEG or PNG (or small GIF's first frame as PNG) within the limits,
// without EXIF, GPS, XMP, embedded thumbnails or trailing bytes, upright. What fits already is not encoded again.
func PrepareImage(raw []byte, l ImageLimits) (b Blob, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = Blob{}, fmt.Errorf("%w: the decoder panicked", ErrMediaKind)
		}
	}()
	kind := sniffImage(raw)
	c, err := imageConfig(raw, kind)
	if err != nil {
		return Blob{}, err
	}
	orientation := 1
	if kind == "jpeg" || kind == "png" {
		clean, o, err := stripImage(raw, kind)
		if err != nil {
			return Blob{}, fmt.Errorf("%w: %v", ErrMediaKind, err)
		}
		if o <= 1 && len(clean) <= l.MaxBytes {
			return Blob{Bytes: clean, MimeType: "image/" + kind, Width: c.Width, Height: c.Height}, nil
		}
		orientation = o
	} else if kind == "webp" {
		orientation = webpOrientation(raw)
	}
	return reencode(raw, kind, c, orientation, l)
}

func sniffImage(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xd8, 0xff}):
		return "jpeg"
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return "png"
	case bytes.HasPrefix(b, []byte("GIF87a")), bytes.HasPrefix(b, []byte("GIF89a")):
		return "gif"
	case len(b) > 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return "webp"
	}
	return ""
}

type codec struct {
	config func(*bytes.Reader) (image.Config, error)
	decode func(*bytes.Reader) (image.Image, error)
}

func codecFor(kind string) (codec, bool) {
	switch kind {
	case "jpeg":
		return codec{func(r *bytes.Reader) (image.Config, error) { return jpeg.DecodeConfig(r) }, func(r *bytes.Reader) (image.Image, error) { return jpeg.Decode(r) }}, true
	case "png":
		return codec{func(r *bytes.Reader) (image.Config, error) { return png.DecodeConfig(r) }, func(r *bytes.Reader) (image.Image, error) { return png.Decode(r) }}, true
	case "gif":
		return codec{func(r *bytes.Reader) (image.Config, error) { return gif.DecodeConfig(r) }, func(r *bytes.Reader) (image.Image, error) { return gif.Decode(r) }}, true
	case "webp":
		return codec{func(r *bytes.Reader) (image.Config, error) { return webp.DecodeConfig(r) }, func(r *bytes.Reader) (image.Image, error) { return webp.Decode(r) }}, true
	}
	return codec{}, false
}

// imageConfig reads the dimensions and refuses bombs before a pixel is decoded.
func imageConfig(raw []byte, kind string) (image.Config, error) {
	cd, ok := codecFor(kind)
	if !ok {
		return image.Config{}, ErrMediaKind
	}
	c, err := cd.config(bytes.NewReader(raw))
	if err != nil {
		return c, fmt.Errorf("%w: %v", ErrMediaKind, err)
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide || c.Width*c.Height > maxPixels {
		return c, fmt.Errorf("%w: %d by %d pixels", ErrMediaLimit, c.Width, c.Height)
	}
	return c, nil
}

// decodeCost is an upper bound of the bytes that decoding takes: pixels, and what the decoder keeps beside them.
func decodeCost(raw []byte, kind string, c image.Config) int {
	px := c.Width * c.Height
	switch {
	case kind == "jpeg" && isProgressive(raw):
		return px * 15 / 2 // coefficients of 4 bytes and the YCbCr samples
	case kind == "jpeg":
		return px * 3
	case kind == "gif":
		return px
	case kind == "png":
		switch c.ColorModel {
		case color.GrayModel:
			return px
		case color.Gray16Model:
			return px * 2
		case color.RGBA64Model, color.NRGBA64Model:
			return px * 8
		}
		if _, paletted := c.ColorModel.(color.Palette); paletted {
			return px
		}
	case kind == "webp" && c.ColorModel == color.YCbCrModel:
		return px * 2
	}
	return px * 4
}

func reencode(raw []byte, kind string, c image.Config, orientation int, l ImageLimits) (Blob, error) {
	if cost := decodeCost(raw, kind, c); cost > maxDecode {
		return Blob{}, fmt.Errorf("%w: decoding takes %d bytes", ErrMediaLimit, cost)
	}
	cd, _ := codecFor(kind)
	img, err := cd.decode(bytes.NewReader(raw))
	if err != nil {
		return Blob{}, fmt.Errorf("%w: %v", ErrMediaKind, err)
	}
	if long := max(c.Width, c.Height); long > l.MaxSide {
		img = scale(img, float64(l.MaxSide)/float64(long))
	}
	img = upright(img, orientation)
	return encodeWithin(img, kind, l.MaxBytes)
}

// encodeWithin tries PNG where there is transparency or where the source was lossless, then JPEG of falling quality, then
// smaller ones.
func encodeWithin(img image.Image, kind string, limit int) (Blob, error) {
	for try := 0; try < 8; try++ {
		size := img.Bounds().Size()
		if kind == "gif" || kind == "png" || !opaque(img) {
			if b, err := encodePNG(img); err == nil && len(b) <= limit {
				return Blob{Bytes: b, MimeType: "image/png", Width: size.X, Height: size.Y}, nil
			}
		}
		flat := flatten(img)
		for _, q := range []int{90, 80, 65} {
			var b bytes.Buffer
			if err := jpeg.Encode(&b, flat, &jpeg.Options{Quality: q}); err != nil {
				return Blob{}, fmt.Errorf("encoding an image: %w", err)
			}
			if b.Len() <= limit {
				return Blob{Bytes: b.Bytes(), MimeType: "image/jpeg", Width: size.X, Height: size.Y}, nil
			}
		}
		if min(size.X, size.Y) < minSide {
			break
		}
		img = scale(img, 0.7)
	}
	return Blob{}, fmt.Errorf("%w: it cannot be made small enough", ErrMediaLimit)
}

func encodePNG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}

func opaque(img image.Image) bool {
	o, ok := img.(interface{ Opaque() bool })
	return ok && o.Opaque()
}

// flatten puts a transparent image on white, as JPEG has no transparency.
func flatten(img image.Image) image.Image {
	if opaque(img) {
		return img
	}
	out := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Over)
	return out
}

func scale(img image.Image, by float64) image.Image {
	w, h := max(1, int(float64(img.Bounds().Dx())*by)), max(1, int(float64(img.Bounds().Dy())*by))
	rect := image.Rect(0, 0, w, h)
	if opaque(img) {
		out := image.NewRGBA(rect)
		draw.ApproxBiLinear.Scale(out, rect, img, img.Bounds(), draw.Src, nil)
		return out
	}
	out := image.NewNRGBA(rect)
	draw.ApproxBiLinear.Scale(out, rect, img, img.Bounds(), draw.Src, nil)
	return out
}

// upright turns the image as EXIF's orientation (2 to 8) asks for.
func upright(img image.Image, orientation int) image.Image {
	if orientation < 2 || orientation > 8 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if orientation >= 5 {
		w, h = h, w
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			sx, sy := sourceOf(x, y, w, h, orientation)
			out.Set(x, y, img.At(b.Min.X+sx, b.Min.Y+sy))
		}
	}
	return out
}

// sourceOf says which stored pixel is shown at (x, y) of a w by h picture.
func sourceOf(x, y, w, h, orientation int) (int, int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return y, w - 1 - x
	case 7:
		return h - 1 - y, w - 1 - x
	case 8:
		return h - 1 - y, x
	}
	return x, y
}
