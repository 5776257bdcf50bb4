package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// trusting makes a client that trusts the local CA.
func trusting(ca string) (*http.Client, error) {
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in the CA file")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return &http.Client{Timeout: 20 * time.Second, Transport: transport}, nil
}

// eventually repeats a check until it holds.
func eventually(ctx context.Context, patience time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}

func (w *world) ok(ctx context.Context, url string) error {
	status, _, err := w.fetch(ctx, http.MethodGet, url, "", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: status %d", url, status)
	}
	return err
}

// fetch is one exchange; accept is the media type asked for.
func (w *world) fetch(ctx context.Context, method, url, accept string, body []byte, header ...string) (int, []byte, error) {
	client := w.http
	if client == nil {
		client = http.DefaultClient
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	return resp.StatusCode, raw, err
}

// call sends JSON and reads JSON.
func (w *world) call(ctx context.Context, method, url string, in, out any, header ...string) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		header = append(header, "Content-Type", "application/json")
	}
	status, raw, err := w.fetch(ctx, method, url, "application/json", body, header...)
	if err != nil {
		return err
	}
	if status >= 300 {
		return fmt.Errorf("%s %s: status %d: %.300s", method, url, status, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

type object = map[string]any

// fedi is one Fedify server.
type fedi struct {
	w      *world
	origin string
	seq    int
}

func (f *fedi) actor(name string) string { return f.origin + "/users/" + name }

// received is an activity that Fedify verified and took in.
type received struct {
	Type, Actor, Object string
	JSON                object
}

func (r received) raw() string {
	raw, err := json.Marshal(r.JSON)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func (f *fedi) log(ctx context.Context) (all []received, err error) {
	err = f.w.call(ctx, http.MethodGet, f.origin+"/_/log", nil, &all)
	return all, err
}

// find waits for something in the log.
func (f *fedi) find(ctx context.Context, what string, match func(received) bool) (found received, err error) {
	err = eventually(ctx, patience, func(ctx context.Context) error {
		all, err := f.log(ctx)
		if err != nil {
			return err
		}
		for _, r := range all {
			if match(r) {
				found = r
				return nil
			}
		}
		return fmt.Errorf("%s never arrived at %s (%d activities did)", what, f.origin, len(all))
	})
	return found, err
}

func (f *fedi) lookup(ctx context.Context, as, q string) (o object, err error) {
	err = f.w.call(ctx, http.MethodGet, f.origin+"/_/lookup?as="+as+"&q="+url.QueryEscape(q), nil, &o)
	if err == nil && o == nil {
		err = fmt.Errorf("Fedify finds nothing under %s", q)
	}
	return o, err
}

func (f *fedi) send(ctx context.Context, as string, activity object, recipients ...string) (string, error) {
	f.seq++
	id := fmt.Sprintf("%s/act/%s/%d-%d", f.origin, strings.ToLower(fmt.Sprint(activity["type"])), time.Now().UnixNano(), f.seq)
	activity["@context"], activity["id"], activity["actor"] = "https://www.w3.org/ns/activitystreams", id, f.actor(as)
	return id, f.w.call(ctx, http.MethodPost, f.origin+"/_/send?as="+as, object{"recipients": recipients, "activity": activity}, nil)
}

const public = "https://www.w3.org/ns/activitystreams#Public"

// noteOptions shape a note; by default it is public.
type noteOptions struct {
	content     string
	to, cc      []string
	tags        []object
	attachments []object
	replyTo     string
	extra       object
	recipients  []string // besides the followers
	noFollowers bool
}

// note publishes a note and returns it.
func (f *fedi) note(ctx context.Context, as string, o noteOptions) (object, error) {
	f.seq++
	id := fmt.Sprintf("%s/notes/%d%04d", f.actor(as), time.Now().UnixMicro(), f.seq)
	if o.to == nil {
		o.to, o.cc = []string{public}, append(o.cc, f.actor(as)+"/followers")
	}
	n := object{"@context": []any{"https://www.w3.org/ns/activitystreams", object{"Hashtag": "as:Hashtag", "sensitive": "as:sensitive", "quoteUrl": "as:quoteUrl"}},
		"id": id, "type": "Note", "attributedTo": f.actor(as), "content": o.content,
		"published": time.Now().UTC().Format(time.RFC3339), "url": id, "to": o.to, "cc": o.cc}
	if o.tags != nil {
		n["tag"] = o.tags
	}
	if o.attachments != nil {
		n["attachment"] = o.attachments
	}
	if o.replyTo != "" {
		n["inReplyTo"] = o.replyTo
	}
	for k, v := range o.extra {
		n[k] = v
	}
	if err := f.w.call(ctx, http.MethodPost, f.origin+"/_/note", n, nil); err != nil {
		return nil, err
	}
	recipients := o.recipients
	if !o.noFollowers {
		recipients = append([]string{"followers"}, recipients...)
	}
	_, err := f.send(ctx, as, object{"type": "Create", "object": n, "to": o.to, "cc": o.cc}, recipients...)
	return n, err
}

// account is somebody on the reference PDS.
type account struct {
	w           *world
	handle, did string
	token       string
}

func (w *world) newAccount(ctx context.Context, name string) (*account, error) {
	a := &account{w: w, handle: name + ".pdsa.test"}
	var out struct{ DID, AccessJwt string }
	err := w.call(ctx, http.MethodPost, pdsURL+"/xrpc/com.atproto.server.createAccount",
		object{"handle": a.handle, "email": name + "@example.com", "password": "correct horse"}, &out)
	a.did, a.token = out.DID, out.AccessJwt
	return a, err
}

type ref struct {
	URI string `json:"uri"`
	CID string `json:"cid"`
}

func (a *account) do(ctx context.Context, method string, in, out any) error {
	return a.w.call(ctx, http.MethodPost, pdsURL+"/xrpc/"+method, in, out, "Authorization", "Bearer "+a.token)
}

// create writes a record; put writes one under a key.
func (a *account) create(ctx context.Context, collection string, record object) (r ref, err error) {
	err = a.do(ctx, "com.atproto.repo.createRecord", object{"repo": a.did, "collection": collection, "record": complete(collection, record)}, &r)
	return r, err
}

func (a *account) put(ctx context.Context, collection, rkey string, record object) (r ref, err error) {
	err = a.do(ctx, "com.atproto.repo.putRecord", object{"repo": a.did, "collection": collection, "rkey": rkey, "validate": false, "record": complete(collection, record)}, &r)
	return r, err
}

func complete(collection string, record object) object {
	record["$type"] = collection
	if record["createdAt"] == nil {
		record["createdAt"] = time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return record
}

func (a *account) remove(ctx context.Context, uri string) error {
	parts := strings.Split(strings.TrimPrefix(uri, "at://"), "/")
	return a.do(ctx, "com.atproto.repo.deleteRecord", object{"repo": a.did, "collection": parts[1], "rkey": parts[2]}, nil)
}

func (a *account) upload(ctx context.Context, data []byte, mime string) (blob any, err error) {
	status, raw, err := a.w.fetch(ctx, http.MethodPost, pdsURL+"/xrpc/com.atproto.repo.uploadBlob", "", data, "Authorization", "Bearer "+a.token, "Content-Type", mime)
	if err != nil || status != http.StatusOK {
		return nil, errors.Join(err, fmt.Errorf("uploading: status %d: %.200s", status, raw))
	}
	var out struct{ Blob any }
	err = json.Unmarshal(raw, &out)
	return out.Blob, err
}

// view asks the AppView.
func (w *world) view(ctx context.Context, method string, params url.Values, out any) error {
	return w.call(ctx, http.MethodGet, appViewURL+"/xrpc/"+method+"?"+params.Encode(), nil, out)
}

// post is a post as the AppView shows it.
type post struct {
	URI    string `json:"uri"`
	CID    string `json:"cid"`
	Record struct {
		Text   string   `json:"text"`
		Facets []object `json:"facets"`
		Reply  *struct {
			Parent ref `json:"parent"`
			Root   ref `json:"root"`
		} `json:"reply"`
		Embed object `json:"embed"`
	} `json:"record"`
	Embed       object `json:"embed"`
	LikeCount   int    `json:"likeCount"`
	RepostCount int    `json:"repostCount"`
	ReplyCount  int    `json:"replyCount"`
}

// feed is an author's posts and replies.
func (w *world) feed(ctx context.Context, actor string) ([]post, error) {
	var all []post
	for cursor := ""; ; {
		var out struct {
			Cursor string
			Feed   []struct{ Post post }
		}
		q := url.Values{"actor": {actor}, "limit": {"100"}, "filter": {"posts_with_replies"}}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		if err := w.view(ctx, "app.bsky.feed.getAuthorFeed", q, &out); err != nil {
			return nil, err
		}
		for _, f := range out.Feed {
			all = append(all, f.Post)
		}
		if cursor = out.Cursor; cursor == "" || len(out.Feed) == 0 {
			return all, nil
		}
	}
}

// find waits for a post with a piece of text in an author's feed.
func (w *world) find(ctx context.Context, actor, piece string) (found post, err error) {
	err = eventually(ctx, patience, func(ctx context.Context) error {
		posts, err := w.feed(ctx, actor)
		if err != nil {
			return err
		}
		for _, p := range posts {
			if strings.Contains(p.Record.Text, piece) {
				found = p
				return nil
			}
		}
		return fmt.Errorf("no post with %q among %d of %s on the AppView", piece, len(posts), actor)
	})
	return found, err
}

func (w *world) posts(ctx context.Context, uri string) ([]post, error) {
	var out struct{ Posts []post }
	err := w.view(ctx, "app.bsky.feed.getPosts", url.Values{"uris": {uri}}, &out)
	return out.Posts, err
}
