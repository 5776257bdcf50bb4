package atprototest

import (
	"strings"
	"time"
)

// index holds the records that are shown. The caller holds the AppView's lock.
type index struct {
	records map[string]*indexed            // by at-uri
	edges   map[string]map[string][]string // kind, then subject, to at-uris of likes, reposts, follows, blocks, replies, quotes
	order   int64
}

// indexed is a record that was accepted.
type indexed struct {
	uri, did, collection, rkey, cid string
	data                            map[string]any
	at                              time.Time
	order                           int64
	edges                           [][2]string // kind and subject
	duplicate                       bool
}

func newIndex() index {
	return index{records: map[string]*indexed{}, edges: map[string]map[string][]string{}}
}

func (ix *index) put(did, path, cid string, data map[string]any, at time.Time) {
	uri := "at://" + did + "/" + path
	collection, rkey, _ := strings.Cut(path, "/")
	rec := &indexed{uri: uri, did: did, collection: collection, rkey: rkey, cid: cid, data: data, at: at}
	if old, ok := ix.records[uri]; ok {
		rec.order, rec.at = old.order, old.at
		ix.remove(did, path)
	} else {
		ix.order++
		rec.order = ix.order
	}
	rec.edges = edgesOf(rec)
	ix.records[uri] = rec
	for _, e := range rec.edges {
		rec.duplicate = rec.duplicate || (oncePerSubject[e[0]] && ix.has(e[0], e[1], did))
		ix.link(e[0], e[1], uri)
	}
}

// oncePerSubject are the kinds of which one counts for each actor and subject.
var oncePerSubject = map[string]bool{"like": true, "repost": true, "follow": true, "block": true}

func (ix *index) has(kind, subject, did string) bool {
	for _, uri := range ix.edges[kind][subject] {
		if strings.HasPrefix(uri, "at://"+did+"/") {
			return true
		}
	}
	return false
}

func (ix *index) link(kind, subject, uri string) {
	m, ok := ix.edges[kind]
	if !ok {
		m = map[string][]string{}
		ix.edges[kind] = m
	}
	m[subject] = append(m[subject], uri)
}

func (ix *index) remove(did, path string) {
	uri := "at://" + did + "/" + path
	rec, ok := ix.records[uri]
	if !ok {
		return
	}
	delete(ix.records, uri)
	for _, e := range rec.edges {
		list := ix.edges[e[0]][e[1]]
		for i, u := range list {
			if u == uri {
				ix.edges[e[0]][e[1]] = append(list[:i:i], list[i+1:]...)
				break
			}
		}
	}
}

// purge removes all that an account wrote.
func (ix *index) purge(did string) {
	for uri, rec := range ix.records {
		if rec.did == did {
			ix.remove(did, strings.TrimPrefix(uri, "at://"+did+"/"))
		}
	}
}

func edgesOf(r *indexed) [][2]string {
	switch r.collection {
	case "app.bsky.feed.like":
		return [][2]string{{"like", refURI(r.data["subject"])}}
	case "app.bsky.feed.repost":
		return [][2]string{{"repost", refURI(r.data["subject"])}}
	case "app.bsky.graph.follow":
		return [][2]string{{"follow", text(r.data["subject"])}}
	case "app.bsky.graph.block":
		return [][2]string{{"block", text(r.data["subject"])}}
	case "app.bsky.feed.post":
		return postEdges(r)
	}
	return nil
}

func postEdges(r *indexed) [][2]string {
	var out [][2]string
	if reply, ok := r.data["reply"].(map[string]any); ok {
		out = append(out, [2]string{"reply", refURI(reply["parent"])})
	}
	embed, _ := r.data["embed"].(map[string]any)
	record, _ := embed["record"].(map[string]any)
	if inner, ok := record["record"].(map[string]any); ok {
		record = inner
	}
	if uri := text(record["uri"]); uri != "" {
		out = append(out, [2]string{"quote", uri})
	}
	return out
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func refURI(v any) string {
	m, _ := v.(map[string]any)
	return text(m["uri"])
}
