package translate

import (
	"encoding/json"
	"time"
)

// Context is everything a conversion may know besides its input: what the resolver found beforehand. Conversions have
// no clock, network or database. It is never changed by a conversion, so one value may serve several at once.
type Context struct {
	// Now is the time of the conversion.
	Now time.Time
	// Domain is the bridge's own host; ids of its own are https://Domain/ap/<did> and https://Domain/at/<did>/<collection>/<rkey>.
	Domain string
	// Actors maps an AP actor id to a person known to the bridge, all of them with a live grant. Who is not here did not join.
	Actors map[string]Actor
	// Objects maps an AP object id to the record that stands for it; only bridged posts and records are here.
	Objects map[string]StrongRef
	// Records are AT records that could be fetched, by at-uri.
	Records map[string]Record
	// APObjects are AS2 objects that could be fetched, by id.
	APObjects map[string]json.RawMessage
	// Handles maps an AT handle to its DID.
	Handles map[string]string
	// PDS is the base URL for com.atproto.sync.getBlob of the author's repo.
	PDS string
	// Blobs maps a media URL to the blob made of it; a URL not listed could not be fetched.
	Blobs map[string]Blob
	// Previews maps a link to its card.
	Previews map[string]Preview
	// Options are the author's own choices (see Options).
	Options Options
	// Incarnation of the author's account; destination ids depend on it. 0 means 1.
	Incarnation int64
}

// Actor is a person with a live grant.
type Actor struct {
	DID    string `json:"did"`
	Handle string `json:"handle"`
	// Acct is user@host.
	Acct string `json:"acct"`
	URL  string `json:"url"`
	// Native is "ap" or "at".
	Native string `json:"native"`
}

// StrongRef is com.atproto.repo.strongRef.
type StrongRef struct {
	URI string `json:"uri"`
	CID string `json:"cid"`
}

// Record is an AT record with its address.
type Record struct {
	URI   string          `json:"uri"`
	CID   string          `json:"cid"`
	Value json.RawMessage `json:"value"`
}

// Blob is media that lies in the repo host's blob store.
type Blob struct {
	CID      string `json:"cid"`
	MimeType string `json:"mimeType"`
	Size     int64  `json:"size"`
	Width    int    `json:"width,omitempty"`
	Height   int    `json:"height,omitempty"`
}

// Preview is what a link card shows.
type Preview struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Image       string `json:"image,omitempty"`
}

// Options are choices of the author, from the scopes of their grant; the zero value is the default.
type Options struct {
	// LongMode is "card" (default) or "thread".
	LongMode string
	// CWMode is "text" (default), "link" or "skip".
	CWMode string
	// ManyImages is "gallery" (default where more than four), "thread" or "link".
	ManyImages string
	// SkipQuotesOfOthers drops the post, rather than only the quote, when somebody is quoted who did not join.
	SkipQuotesOfOthers bool
	// SearchIndexing lets other servers list and index what the author's actor stands for (the scope search_indexing).
	SearchIndexing bool
	// Language is the author's UI language for lines that the bridge adds ("en" by default).
	Language string
}

// Write is one change to the author's repo.
type Write struct {
	// Action is create, update or delete.
	Action     string `json:"action"`
	Collection string `json:"collection"`
	RKey       string `json:"rkey"`
	URI        string `json:"uri"`
	// Record is nil for a delete; values are map[string]any, []any, string, int64, bool as atdata wants them.
	Record map[string]any `json:"record,omitempty"`
	// Source is the AP id that this write stands for, kept in the object map; Part counts the parts of a thread from 0.
	Source string `json:"-"`
	Part   int    `json:"-"`
}

// DM is a private message to a person on the AT side.
type DM struct {
	To      string         `json:"to"`
	Message map[string]any `json:"message"`
}

// ATResult is what becomes of an AS2 activity.
type ATResult struct {
	Writes  []Write          `json:"writes"`
	Reports []map[string]any `json:"reports"`
	DMs     []DM             `json:"dms"`
	// Account is "", "deactivate" or "delete".
	Account string     `json:"account,omitempty"`
	Dropped DropReason `json:"dropped,omitempty"`
	Losses  []Loss     `json:"losses,omitempty"`
}

// APResult is what becomes of an event in an AT repo: activities (or bare objects) ready to be signed and sent.
type APResult struct {
	Activities []map[string]any `json:"activities"`
	Dropped    DropReason       `json:"dropped,omitempty"`
	Losses     []Loss           `json:"losses,omitempty"`
}

// Event is one change in an AT repo, verified to come from it.
type Event struct {
	// Action is create, update, delete or account.
	Action string          `json:"action"`
	URI    string          `json:"uri"`
	CID    string          `json:"cid,omitempty"`
	DID    string          `json:"did"`
	Handle string          `json:"handle"`
	Record json.RawMessage `json:"record,omitempty"`
	// Previous is the record before an update or delete, where known.
	Previous json.RawMessage `json:"previous,omitempty"`
	// Status is for account events: deactivated, deleted, takendown, suspended or active.
	Status string `json:"status,omitempty"`
}

// Refs lists what must be looked up before a conversion; the caller resolves it into a Context.
type Refs struct {
	// Actors are AP actor ids and profile URLs; DIDs and Handles are AT accounts; all may or may not have joined.
	Actors, DIDs, Handles []string
	// Accts are user@host of fediverse accounts that are named in a text without a link.
	Accts []string
	// Objects are AP object ids (parents, quotes, targets), and pages of posts on bsky.app, whose handle may have to be
	// resolved first; URIs are at-uris of the same, and of the gates beside them.
	Objects, URIs []string
	// Records are those of URIs whose values are wanted even if they were never bridged, if they exist: gates, the name of
	// an embedded feed or list, a publication.
	Records []string
	// Parents are those of Objects and URIs without which the post would lose its place: a parent in flight is waited for.
	Parents []string
	// Media are URLs to fetch as blobs, in order.
	Media []MediaRef
	// Links are URLs for which a card would be shown (at most one is used). Links to posts of people are not among them.
	Links []string
}

// MediaRef is a file to fetch and what it is for.
type MediaRef struct {
	URL string
	// Kind is image, video, audio, avatar, banner or thumb.
	Kind string
	// MediaType is what the sender claims.
	MediaType string
}
