package pds_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"runtime"
	"testing"

	"footbridge/atproto/pds"
)

// picture is red on the left half and blue on the right, with noise enough to be large if asked for.
func picture(w, h int, noise bool) *image.RGBA {
	r := rand.New(rand.NewPCG(1, 1))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{R: 250, A: 255}
			if x >= w/2 {
				c = color.RGBA{B: 250, A: 255}
			}
			if noise {
				c.G = uint8(r.IntN(256))
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func jpegOf(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tiff is an EXIF block with an orientation and a place.
func tiff(orientation uint16) []byte {
	b := []byte("MM\x00\x2a\x00\x00\x00\x08\x00\x02")
	b = append(b, 0x01, 0x12, 0, 3, 0, 0, 0, 1)
	b = binary.BigEndian.AppendUint16(b, orientation)
	b = append(b, 0, 0)
	b = append(b, 0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 40) // the GPS directory
	return append(b, []byte("\x00\x00\x00\x00GPS52N13E-home-of-alice")...)
}

func withSegment(j []byte, marker byte, body []byte) []byte {
	seg := append([]byte{0xff, marker}, binary.BigEndian.AppendUint16(nil, uint16(len(body)+2))...)
	return bytes.Join([][]byte{j[:2], append(seg, body...), j[2:]}, nil)
}

func withChunk(p []byte, name string, body []byte) []byte {
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk = append(append(chunk, name...), body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	return bytes.Join([][]byte{p[:33], chunk, p[33:]}, nil) // behind IHDR
}

func shown(t testing.TB, b pds.Blob) image.Image {
	t.Helper()
	img, kind, err := image.Decode(bytes.NewReader(b.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	if "image/"+kind != b.MimeType || img.Bounds().Dx() != b.Width || img.Bounds().Dy() != b.Height {
		t.Fatalf("it is %s of %v, the blob says %s %dx%d", kind, img.Bounds(), b.MimeType, b.Width, b.Height)
	}
	return img
}

func isRed(c color.Color) bool {
	r, _, b, _ := c.RGBA()
	return r > b
}

func TestMetadataIsRemoved(t *testing.T) {
	plain := jpegOf(t, picture(64, 32, false), 90)
	j := withSegment(plain, 0xe1, append([]byte("Exif\x00\x00"), tiff(1)...))
	j = withSegment(j, 0xe1, []byte("http://ns.adobe.com/xap/1.0/\x00<xmp>home-of-alice</xmp>"))
	j = withSegment(j, 0xed, []byte("Photoshop 3.0\x00home-of-alice"))
	j = withSegment(j, 0xfe, []byte("a comment, home-of-alice"))
	j = append(j, []byte("trailing video home-of-alice")...)
	p := withChunk(pngOf(t, picture(64, 32, false)), "eXIf", tiff(1))
	p = withChunk(p, "tEXt", []byte("Comment\x00home-of-alice"))
	p = withChunk(p, "iTXt", []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00home-of-alice"))
	p = append(p, []byte("home-of-alice")...)
	for name, raw := range map[string][]byte{"jpeg": j, "png": p} {
		b, err := pds.PrepareMedia(raw, "image")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if bytes.Contains(b.Bytes, []byte("home-of-alice")) || bytes.Contains(b.Bytes, []byte("Exif")) || bytes.Contains(b.Bytes, []byte("GPS")) {
			t.Errorf("%s: the place is still in it", name)
		}
		shown(t, b)
		if b.CID == "" || b.Size != int64(len(b.Bytes)) {
			t.Errorf("%s: %+v", name, b.CID)
		}
	}
	if b, err := pds.PrepareMedia(j, "image"); err != nil || !bytes.Equal(b.Bytes, plain) {
		t.Errorf("the picture itself was changed: %v", err)
	}
}

// TestOrientation: a picture that is stored lying comes out upright. The stored left half is red.
func TestOrientation(t *testing.T) {
	for orientation, want := range map[uint16]struct {
		w, h int
		red  image.Point
	}{
		1: {64, 32, image.Pt(5, 16)}, 2: {64, 32, image.Pt(58, 16)}, 3: {64, 32, image.Pt(58, 16)}, 4: {64, 32, image.Pt(5, 16)},
		5: {32, 64, image.Pt(16, 5)}, 6: {32, 64, image.Pt(16, 5)}, 7: {32, 64, image.Pt(16, 58)}, 8: {32, 64, image.Pt(16, 58)},
	} {
		for name, raw := range map[string][]byte{
			"jpeg": withSegment(jpegOf(t, picture(64, 32, false), 95), 0xe1, append([]byte("Exif\x00\x00"), tiff(orientation)...)),
			"png":  withChunk(pngOf(t, picture(64, 32, false)), "eXIf", tiff(orientation)),
		} {
			b, err := pds.PrepareMedia(raw, "image")
			if err != nil {
				t.Fatal(err)
			}
			img := shown(t, b)
			opposite := image.Pt(want.w-1-want.red.X, want.h-1-want.red.Y)
			if b.Width != want.w || b.Height != want.h || !isRed(img.At(want.red.X, want.red.Y)) || isRed(img.At(opposite.X, opposite.Y)) {
				t.Errorf("%s orientation %d: %dx%d", name, orientation, b.Width, b.Height)
			}
		}
	}
}

func TestLargeImagesAreMadeSmall(t *testing.T) {
	noisy := picture(1800, 1200, true)
	raw := jpegOf(t, noisy, 100)
	if len(raw) < 2_000_000 {
		t.Fatal("the case is too small")
	}
	for kind, limit := range map[string]int{"image": 2_000_000, "avatar": 1_000_000} {
		b, err := pds.PrepareMedia(raw, kind)
		if err != nil {
			t.Fatal(err)
		}
		img := shown(t, b)
		if len(b.Bytes) > limit || b.Width*2-b.Height*3 < -4 || b.Width*2-b.Height*3 > 4 || !isRed(img.At(10, 10)) {
			t.Errorf("%s: %d bytes, %dx%d", kind, len(b.Bytes), b.Width, b.Height)
		}
	}
}

func TestOtherKinds(t *testing.T) {
	var g bytes.Buffer
	pal := image.NewPaletted(image.Rect(0, 0, 40, 20), color.Palette{color.Transparent, color.RGBA{R: 250, A: 255}})
	pal.SetColorIndex(3, 3, 1)
	if err := gif.EncodeAll(&g, &gif.GIF{Image: []*image.Paletted{pal, pal}, Delay: []int{1, 1}}); err != nil {
		t.Fatal(err)
	}
	b, err := pds.PrepareMedia(g.Bytes(), "image")
	if err != nil || b.MimeType != "image/png" {
		t.Fatalf("gif: %s %v", b.MimeType, err)
	}
	if _, _, _, a := shown(t, b).At(0, 0).RGBA(); a != 0 {
		t.Error("gif: transparency is lost")
	}
	// A lossy and a lossless WebP of one pixel.
	for _, s := range []string{"UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA", "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="} {
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		b, err := pds.PrepareMedia(raw, "image")
		if err != nil {
			t.Fatalf("webp: %v", err)
		}
		shown(t, b)
	}
	for name, raw := range map[string][]byte{
		"avif":  []byte("\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1"),
		"svg":   []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"),
		"html":  []byte("<html>"),
		"empty": nil,
		"webm":  []byte("\x1a\x45\xdf\xa3 webm"),
	} {
		for _, kind := range []string{"image", "video"} {
			if _, err := pds.PrepareMedia(raw, kind); !errors.Is(err, pds.ErrMediaKind) {
				t.Errorf("%s as %s: %v", name, kind, err)
			}
		}
	}
}

// TestBombs (R96): files that promise far more pixels than bytes.
func TestBombs(t *testing.T) {
	bomb := func(w, h uint32, depth, colour byte) []byte {
		ihdr := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
		p := pngOf(t, picture(1, 1, false))
		copy(p[16:], append(ihdr, depth, colour))
		binary.BigEndian.PutUint32(p[29:], crc32.ChecksumIEEE(p[12:29]))
		return p
	}
	huge := append([]byte("GIF89a"), 0xff, 0xff, 0xff, 0xff, 0, 0, 0)
	for name, raw := range map[string][]byte{
		"png 20000": bomb(20_000, 20_000, 8, 6), "png 8000x6000 as deep": bomb(8000, 6000, 16, 6), "png wide": bomb(100_000, 1, 8, 2),
		"png most": bomb(0x7fffffff, 0x7fffffff, 8, 2), "gif": huge,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := pds.PrepareMedia(raw, "image")
		runtime.ReadMemStats(&after)
		if !errors.Is(err, pds.ErrMediaLimit) && !errors.Is(err, pds.ErrMediaKind) {
			t.Errorf("%s: %v", name, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
			t.Errorf("%s: took %d bytes", name, grown)
		}
	}
}

// TestDamagedImages: whatever comes, an error and no panic, and never more than the limits.
func TestDamagedImages(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	sources := [][]byte{
		withSegment(jpegOf(t, picture(40, 40, true), 80), 0xe1, append([]byte("Exif\x00\x00"), tiff(6)...)),
		withChunk(pngOf(t, picture(40, 40, true)), "eXIf", tiff(6)),
		mp4(t),
	}
	for range 3000 {
		raw := bytes.Clone(sources[r.IntN(len(sources))])
		for range 1 + r.IntN(6) {
			raw[r.IntN(len(raw))] = byte(r.IntN(256))
		}
		raw = raw[:1+r.IntN(len(raw))]
		for _, kind := range []string{"image", "video"} {
			if b, err := pds.PrepareMedia(raw, kind); err == nil && (len(b.Bytes) > 2_000_000 || b.CID == "") {
				t.Fatalf("%d bytes", len(b.Bytes))
			}
		}
	}
}

func box(name string, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+8)), name...), body...)
}

// mp4 is a skeleton of a portrait video: 640 by 360, turned by a quarter.
func mp4(t testing.TB) []byte {
	t.Helper()
	head := make([]byte, 40)
	matrix := make([]byte, 44)
	binary.BigEndian.PutUint32(matrix[4:], 0x10000)
	binary.BigEndian.PutUint32(matrix[12:], 0xffff0000)
	binary.BigEndian.PutUint32(matrix[36:], 640<<16)
	binary.BigEndian.PutUint32(matrix[40:], 360<<16)
	trak := box("trak", box("tkhd", head, matrix), box("udta", []byte("home-of-alice")))
	moov := box("moov", box("mvhd", make([]byte, 100)), trak, box("udta", box("\xa9xyz", []byte("+52.5+13.4/home-of-alice"))), box("meta", []byte("home-of-alice")))
	return bytes.Join([][]byte{box("ftyp", []byte("isom\x00\x00\x02\x00isom")), moov, box("uuid", []byte("home-of-alice")), box("mdat", []byte("the film"))}, nil)
}

func TestVideoPassesThroughWithoutItsPlace(t *testing.T) {
	raw := mp4(t)
	b, err := pds.PrepareMedia(raw, "video")
	if err != nil {
		t.Fatal(err)
	}
	if b.MimeType != "video/mp4" || b.Width != 360 || b.Height != 640 || len(b.Bytes) != len(raw) || !bytes.Contains(b.Bytes, []byte("the film")) {
		t.Errorf("got %s %dx%d, %d bytes", b.MimeType, b.Width, b.Height, len(b.Bytes))
	}
	if bytes.Contains(b.Bytes, []byte("home-of-alice")) || !bytes.Contains(raw, []byte("home-of-alice")) {
		t.Error("the place is still in it, or the caller's bytes were changed")
	}
}
