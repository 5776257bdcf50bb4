package atprototest

import "github.com/bluesky-social/indigo/atproto/atdata"

// imageURL is where the image proxy serves a blob that was fetched and matches; nothing for any other.
func (v *AppView) imageURL(did string, b any) string {
	blob, ok := b.(atdata.Blob)
	if !ok {
		return ""
	}
	state, ok := v.blobs[did+"/"+blob.Ref.String()]
	if !ok || state.Err != "" {
		return ""
	}
	return v.URL() + "/img/" + did + "/" + blob.Ref.String()
}

// embed makes the view of an embed.
func (v *AppView) embed(did string, e any) map[string]any {
	m, ok := e.(map[string]any)
	if !ok {
		return nil
	}
	switch text(m["$type"]) {
	case "app.bsky.embed.images":
		return map[string]any{"$type": "app.bsky.embed.images#view", "images": v.images(did, m["images"])}
	case "app.bsky.embed.external":
		x, _ := m["external"].(map[string]any)
		view := map[string]any{"uri": x["uri"], "title": x["title"], "description": x["description"]}
		if link := v.imageURL(did, x["thumb"]); link != "" {
			view["thumb"] = link
		}
		return map[string]any{"$type": "app.bsky.embed.external#view", "external": view}
	case "app.bsky.embed.video":
		return map[string]any{"$type": "app.bsky.embed.video#view", "playlist": v.imageURL(did, m["video"]), "alt": m["alt"]}
	case "app.bsky.embed.record":
		return map[string]any{"$type": "app.bsky.embed.record#view", "record": v.quoted(m["record"])}
	case "app.bsky.embed.recordWithMedia":
		inner, _ := m["record"].(map[string]any)
		return map[string]any{
			"$type": "app.bsky.embed.recordWithMedia#view", "media": v.embed(did, m["media"]),
			"record": map[string]any{"record": v.quoted(inner["record"])},
		}
	}
	return nil
}

func (v *AppView) images(did string, list any) []any {
	out := []any{}
	images, _ := list.([]any)
	for _, el := range images {
		m, _ := el.(map[string]any)
		link := v.imageURL(did, m["image"])
		view := map[string]any{"thumb": link, "fullsize": link, "alt": m["alt"]}
		if m["aspectRatio"] != nil {
			view["aspectRatio"] = m["aspectRatio"]
		}
		out = append(out, view)
	}
	return out
}

func (v *AppView) quoted(ref any) map[string]any {
	uri := refURI(ref)
	rec, ok := v.post(uri)
	if !ok {
		return map[string]any{"$type": "app.bsky.embed.record#viewNotFound", "uri": uri, "notFound": true}
	}
	return map[string]any{
		"$type": "app.bsky.embed.record#viewRecord", "uri": rec.uri, "cid": rec.cid, "author": v.basic(rec.did),
		"value": rec.data, "indexedAt": now8601(rec.at),
	}
}
