package atprototest

import (
	"fmt"
	"strings"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
)

// CreateAccount makes an account on the first PDS; name becomes name.pds.test unless it has a dot.
func (n *Network) CreateAccount(name string) (*Account, error) { return n.CreateAccountOn(0, name) }

// CreateAccountOn makes an account on a given PDS, with a profile that carries its name.
func (n *Network) CreateAccountOn(i int, name string) (*Account, error) {
	handle := strings.ToLower(name)
	if !strings.Contains(handle, ".") {
		handle += pdsSuffix(i)
	} else {
		n.SetHandleHost(handle, n.PDSes[i].URL())
	}
	a, err := n.PDSes[i].CreateAccount(handle)
	if err != nil {
		return nil, fmt.Errorf("creating the account %s: %w", name, err)
	}
	return a, n.Profile(a, name, "")
}

// PDS is where the account lives.
func (a *Account) PDS() *PDS { return a.pds }

// record puts a record with $type and createdAt.
func (n *Network) record(a *Account, collection, rkey string, fields map[string]any) (Ref, error) {
	rec := map[string]any{"$type": collection, "createdAt": now8601(n.o.Now())}
	for k, v := range fields {
		if v != nil {
			rec[k] = v
		}
	}
	return a.pds.Put(a, collection, rkey, rec)
}

// Profile sets display name and description.
func (n *Network) Profile(a *Account, name, description string) error {
	_, err := n.record(a, "app.bsky.actor.profile", "self", map[string]any{"displayName": name, "description": description})
	return err
}

// Post writes a post; extra fields (facets, embed, langs, labels) may be nil.
func (n *Network) Post(a *Account, text string, extra map[string]any) (Ref, error) {
	fields := map[string]any{"text": text, "langs": []any{"en"}}
	for k, v := range extra {
		fields[k] = v
	}
	return n.record(a, "app.bsky.feed.post", "", fields)
}

// Reply answers parent in the thread of root.
func (n *Network) Reply(a *Account, text string, root, parent Ref) (Ref, error) {
	return n.Post(a, text, map[string]any{"reply": map[string]any{"root": root.Map(), "parent": parent.Map()}})
}

// Quote quotes a post.
func (n *Network) Quote(a *Account, text string, of Ref) (Ref, error) {
	return n.Post(a, text, map[string]any{"embed": map[string]any{"$type": "app.bsky.embed.record", "record": of.Map()}})
}

// PostImage writes a post with one image.
func (n *Network) PostImage(a *Account, text, alt string, data []byte, mime string) (Ref, error) {
	b, err := a.pds.Upload(a, data, mime)
	if err != nil {
		return Ref{}, err
	}
	return n.Post(a, text, map[string]any{"embed": map[string]any{
		"$type": "app.bsky.embed.images", "images": []any{map[string]any{"alt": alt, "image": b}},
	}})
}

// PostMention writes a post whose text names somebody: the first "@name" of the text becomes a facet with the DID.
func (n *Network) PostMention(a *Account, text, name, did string) (Ref, error) {
	facets, err := MentionFacets(text, name, did)
	if err != nil {
		return Ref{}, err
	}
	return n.Post(a, text, map[string]any{"facets": facets})
}

// MentionFacets makes the facets for one mention.
func MentionFacets(text, name, did string) ([]any, error) {
	at := strings.Index(text, name)
	if at < 0 {
		return nil, fmt.Errorf("%q is not in the text", name)
	}
	return []any{map[string]any{
		"index":    map[string]any{"byteStart": int64(at), "byteEnd": int64(at + len(name))},
		"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#mention", "did": did}},
	}}, nil
}

// Like likes a post.
func (n *Network) Like(a *Account, of Ref) (Ref, error) {
	return n.record(a, "app.bsky.feed.like", "", map[string]any{"subject": of.Map()})
}

// Repost reposts a post.
func (n *Network) Repost(a *Account, of Ref) (Ref, error) {
	return n.record(a, "app.bsky.feed.repost", "", map[string]any{"subject": of.Map()})
}

// Follow follows a DID.
func (n *Network) Follow(a *Account, did string) (Ref, error) {
	return n.record(a, "app.bsky.graph.follow", "", map[string]any{"subject": did})
}

// Block blocks a DID.
func (n *Network) Block(a *Account, did string) (Ref, error) {
	return n.record(a, "app.bsky.graph.block", "", map[string]any{"subject": did})
}

// Gate sets the threadgate of an own post; without rules nobody may reply.
func (n *Network) Gate(a *Account, post Ref, rules ...string) (Ref, error) {
	allow := []any{}
	for _, r := range rules {
		allow = append(allow, map[string]any{"$type": "app.bsky.feed.threadgate#" + r})
	}
	_, path, err := splitURI(post.URI)
	if err != nil {
		return Ref{}, err
	}
	_, rkey, _ := strings.Cut(path, "/")
	return n.record(a, "app.bsky.feed.threadgate", rkey, map[string]any{"post": post.URI, "allow": allow})
}

// Edit replaces the text of an own post.
func (n *Network) Edit(a *Account, post Ref, text string) (Ref, error) {
	_, path, err := splitURI(post.URI)
	if err != nil {
		return Ref{}, err
	}
	a.pds.mu.Lock()
	old, err := a.value(path)
	a.pds.mu.Unlock()
	if err != nil {
		return Ref{}, err
	}
	old["text"] = text
	collection, rkey, _ := strings.Cut(path, "/")
	return a.pds.Put(a, collection, rkey, old)
}

// Delete removes a record of an account on one of the fake PDSes.
func (n *Network) Delete(of Ref) error {
	did, _, err := splitURI(of.URI)
	if err != nil {
		return err
	}
	for _, p := range n.PDSes {
		p.mu.Lock()
		_, here := p.accounts[did]
		p.mu.Unlock()
		if here {
			return p.Delete(of.URI)
		}
	}
	return ErrNoSuchAccount
}

// SigningKey is the account's repo key, for what its PDS would sign.
func (a *Account) SigningKey() atcrypto.PrivateKey { return a.key }
