package translate

import (
	"footbridge/activitypub/as2"
	"path"
	"strings"
)

// Limits of the embed lexicons, in bytes and pieces.
const (
	maxImageBytes   = 2_000_000   // app.bsky.embed.images#image, app.bsky.embed.gallery#image
	maxThumbBytes   = 1_000_000   // app.bsky.embed.external#external, profile pictures
	maxVideoBytes   = 100_000_000 // app.bsky.embed.video
	maxImages       = 4
	maxGallery      = 20
	maxVideoAlt     = 1000 // graphemes
	maxVideoAltByte = 10_000
	maxAttachments  = 64
)

// mediaKind is what a file shows.
type mediaKind uint8

const (
	mediaFile mediaKind = iota
	mediaImage
	mediaVideo
	mediaAudio
)

// apMedia is an attached file.
type apMedia struct {
	url, alt, mediaType string
	kind                mediaKind
	width, height       int
	blob                Blob
	ok                  bool // the blob is there and may stand in a record
}

// attachments reads the files and the link cards of an object. A file is taken from the first of its addresses that was
// fetched.
func (j *apJob) attachments(o *as2.Value) (media []apMedia, cards []apCard) {
	list := o.Get("attachment").List()
	for i := range list[:min(len(list), maxAttachments)] {
		a := &list[i]
		if a.Is("PropertyValue", "IdentityProof", "Emoji", "Hashtag", "Mention") || a.IsZero() {
			continue
		}
		m, ok := j.file(a)
		switch {
		case !ok:
		case m.kind == mediaFile && j.quotedBy(a, m.url):
		case m.kind == mediaFile:
			cards = append(cards, j.linkCard(a, m))
		default:
			j.shown[m.url] = true
			media = append(media, m)
		}
	}
	return media, cards
}

// quotedBy takes an attachment as the quote if it is a post that was bridged.
func (j *apJob) quotedBy(a *as2.Value, url string) bool {
	for _, id := range [...]string{a.ID(), url} {
		if _, ok := j.strongRef(id); ok && (j.quoted == "" || j.quoted == id) {
			j.quoted = id
			return true
		}
	}
	return false
}

// file reads one attachment.
func (j *apJob) file(a *as2.Value) (apMedia, bool) {
	links := a.Links("url")
	if len(links) == 0 {
		links = a.Links("href")
	}
	if a.Kind() == as2.String || len(links) == 0 && a.Is("Note", "Article", "Page") {
		links = []as2.Link{{Href: a.Ref()}}
	}
	if len(links) == 0 {
		return apMedia{}, false
	}
	m := apMedia{alt: altOf(a), width: a.Get("width").Int(), height: a.Get("height").Int()}
	declared := a.Get("mediaType").Str()
	pick := links[0]
	for _, l := range links {
		if _, ok := j.c.Blobs[l.Href]; ok {
			pick = l
			break
		}
	}
	m.url, m.mediaType = pick.Href, pick.MediaType
	if m.mediaType == "" {
		m.mediaType = declared
	}
	if m.width == 0 || m.height == 0 {
		m.width, m.height = pick.Width, pick.Height
	}
	m.kind = kindOf(a.Type(), m.mediaType, m.url)
	if m.kind == mediaFile && m.mediaType == "" && a.Is("Document") {
		// Nothing says what it is; the file itself will.
		j.wantFile(m.url, "image", "")
	}
	if a.Has("focalPoint") && m.kind == mediaImage && !centred(a.Get("focalPoint")) {
		j.lose(LossFocalPoint, "")
	}
	j.fetched(&m)
	return m, true
}

// centred tells whether a focal point is the middle, which is no loss.
func centred(v *as2.Value) bool {
	list := v.List()
	for i := range list {
		if f, _ := list[i].Float(); f != 0 {
			return false
		}
	}
	return true
}

// altOf is the description of a file, byte for byte. Mastodon writes it as name, GoToSocial as summary and name;
// newer Mastodon prefers summary.
func altOf(a *as2.Value) string {
	if s := a.Text("summary"); s != "" {
		return s
	}
	return a.Text("name")
}

// fetched finds the blob of a file, and takes the kind and the size from it: the bytes say more than the sender.
func (j *apJob) fetched(m *apMedia) {
	j.wantMedia(m)
	b, ok := j.c.Blobs[m.url]
	if !ok {
		return
	}
	m.blob = b
	if b.Width > 0 && b.Height > 0 {
		m.width, m.height = b.Width, b.Height
	}
	switch {
	case strings.HasPrefix(b.MimeType, "image/"):
		m.kind, m.ok = mediaImage, b.Size <= maxImageBytes
	case b.MimeType == "video/mp4":
		m.kind, m.ok = mediaVideo, b.Size <= maxVideoBytes
	case strings.HasPrefix(b.MimeType, "video/"):
		m.kind = mediaVideo
	case strings.HasPrefix(b.MimeType, "audio/"):
		m.kind = mediaAudio
	}
	m.ok = m.ok && b.CID != "" && b.Size >= 0
}

func (j *apJob) wantMedia(m *apMedia) {
	if m.kind == mediaImage || m.kind == mediaVideo {
		j.wantFile(m.url, map[mediaKind]string{mediaImage: "image", mediaVideo: "video"}[m.kind], m.mediaType)
	}
}

func (j *apJob) wantFile(url, kind, mediaType string) {
	if j.refs == nil || url == "" || j.seen["media "+url] || len(j.refs.Media) > maxAttachments {
		return
	}
	j.seen["media "+url] = true
	j.refs.Media = append(j.refs.Media, MediaRef{url, kind, mediaType})
}

// kindOf classes a file by its media type, its AS2 type or the end of its address, in that order.
func kindOf(typ, mediaType, url string) mediaKind {
	switch {
	case strings.HasPrefix(mediaType, "image/"):
		return mediaImage
	case strings.HasPrefix(mediaType, "video/"):
		return mediaVideo
	case strings.HasPrefix(mediaType, "audio/"):
		return mediaAudio
	case mediaType != "" && typ != "Image" && typ != "Video" && typ != "Audio":
		return mediaFile
	}
	switch typ {
	case "Image":
		return mediaImage
	case "Video":
		return mediaVideo
	case "Audio":
		return mediaAudio
	case "Page", "Article", "Note":
		return mediaFile
	}
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	switch strings.ToLower(path.Ext(url)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".heic":
		return mediaImage
	case ".mp4", ".webm", ".mov", ".m4v":
		return mediaVideo
	case ".mp3", ".ogg", ".oga", ".opus", ".flac", ".m4a", ".wav":
		return mediaAudio
	}
	return mediaFile
}

// inlinePicture takes a picture in the text as an attachment, if it is one or its file is there.
func (j *apJob) inlinePicture(src, alt string) bool {
	src = resolveURL(src, j.base)
	if j.shown[src] {
		return true
	}
	if j.noPictures || len(j.pictures) >= maxGallery || (!hasFold(src, "https://") && !hasFold(src, "http://")) {
		return false
	}
	m := apMedia{url: src, alt: alt, kind: mediaImage}
	j.fetched(&m)
	if !m.ok || m.kind != mediaImage {
		return false
	}
	j.shown[src] = true
	j.pictures = append(j.pictures, m)
	return true
}

// embedMedia makes the media embed: one video, or pictures. What is left over is behind the link to the original.
func (j *apJob) embedMedia(list []apMedia) (embed map[string]any, left []apMedia) {
	var images []apMedia
	var video *apMedia
	for i := range list {
		m := &list[i]
		switch {
		case m.kind == mediaAudio:
			j.lose(LossAudio, m.alt)
			left = append(left, *m)
		case !m.ok:
			j.lose(LossMediaUnavailable, m.url)
			left = append(left, *m)
		case m.kind == mediaVideo && video == nil:
			video = m
		case m.kind == mediaVideo:
			j.lose(LossMediaMixed, m.url)
			left = append(left, *m)
		default:
			images = append(images, *m)
		}
	}
	if video != nil {
		for _, m := range images {
			j.lose(LossMediaMixed, m.url)
		}
		return j.videoEmbed(video), append(left, images...)
	}
	if n := j.imageLimit(); len(images) > n {
		for _, m := range images[n:] {
			j.lose(LossImagesOverLimit, m.url)
		}
		images, left = images[:n], append(left, images[n:]...)
	}
	return imagesEmbed(images), left
}

func (j *apJob) imageLimit() int {
	if j.c.Options.ManyImages == "link" {
		return maxImages
	}
	return maxGallery
}

func imagesEmbed(images []apMedia) map[string]any {
	if len(images) == 0 {
		return nil
	}
	gallery := len(images) > maxImages
	items := make([]any, len(images))
	for i, m := range images {
		item := map[string]any{"image": blobRef(m.blob), "alt": m.alt}
		if m.width > 0 && m.height > 0 {
			item["aspectRatio"] = aspectRatio(m.width, m.height)
		} else if gallery {
			// The gallery wants a ratio; where nothing is known, a square crops least.
			item["aspectRatio"] = aspectRatio(1, 1)
		}
		if gallery {
			item["$type"] = "app.bsky.embed.gallery#image"
		}
		items[i] = item
	}
	if gallery {
		return map[string]any{"$type": "app.bsky.embed.gallery", "items": items}
	}
	return map[string]any{"$type": "app.bsky.embed.images", "images": items}
}

func (j *apJob) videoEmbed(m *apMedia) map[string]any {
	e := map[string]any{"$type": "app.bsky.embed.video", "video": blobRef(m.blob)}
	if m.alt != "" {
		alt, cut := cutText(m.alt, maxVideoAlt, maxVideoAltByte)
		if cut {
			j.lose(LossAltShortened, m.url)
			j.needHome = true
		}
		e["alt"] = alt
	}
	if m.width > 0 && m.height > 0 {
		e["aspectRatio"] = aspectRatio(m.width, m.height)
	}
	if m.mediaType == "image/gif" {
		e["presentation"] = "gif"
	}
	return e
}

func aspectRatio(w, h int) map[string]any {
	return map[string]any{"width": int64(w), "height": int64(h)}
}

func blobRef(b Blob) map[string]any {
	return map[string]any{"$type": "blob", "ref": map[string]any{"$link": b.CID}, "mimeType": b.MimeType, "size": b.Size}
}

// thumb is the blob for a card's picture, nil if there is none that may be used.
func (j *apJob) thumb(url string) map[string]any {
	j.wantFile(url, "thumb", "")
	b, ok := j.c.Blobs[url]
	if !ok || b.Size > maxThumbBytes || b.CID == "" || !strings.HasPrefix(b.MimeType, "image/") {
		return nil
	}
	return blobRef(b)
}

// imageURL is the first address of an icon or image property that was fetched, else the first.
func (j *apJob) imageURL(v *as2.Value) string {
	list := v.List()
	first := ""
	for i := range list {
		links := list[i].Links("url")
		if list[i].Kind() == as2.String {
			links = []as2.Link{{Href: list[i].Str()}}
		} else if len(links) == 0 {
			links = list[i].Links("href")
		}
		for _, l := range links {
			if first == "" {
				first = l.Href
			}
			if _, ok := j.c.Blobs[l.Href]; ok {
				return l.Href
			}
		}
	}
	return first
}
