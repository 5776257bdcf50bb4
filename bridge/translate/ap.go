package translate

import (
	"encoding/json"
	"errors"
	"fmt"
	"footbridge/activitypub/as2"
)

// FromActivity says what becomes of an AS2 activity (or bare object) that was verified to come from its actor. The
// error is for input that is no AS2 document; everything else that is not bridged is dropped with a reason.
func FromActivity(raw json.RawMessage, c *Context) (ATResult, error) {
	doc, err := as2.Parse(raw)
	if overLimits(err) {
		return (&apJob{out: ATResult{Dropped: DropOverLimits}}).result(), nil
	}
	if err != nil {
		return ATResult{}, fmt.Errorf("reading activity: %w", err)
	}
	j := newAPJob(doc, c)
	j.dispatch()
	return j.result(), nil
}

// overLimits tells a document that may be AS2 but is refused unread.
func overLimits(err error) bool {
	return errors.Is(err, as2.ErrTooLarge) || errors.Is(err, as2.ErrTooDeep) || errors.Is(err, as2.ErrTooMany) || errors.Is(err, as2.ErrDuplicateKey)
}

// ActivityRefs lists what has to be looked up before FromActivity. It walks the same paths with nothing known, so
// whatever a conversion may ask for is in the list.
func ActivityRefs(raw json.RawMessage, domain string) (Refs, error) {
	doc, err := as2.Parse(raw)
	if overLimits(err) {
		return Refs{}, nil
	}
	if err != nil {
		return Refs{}, fmt.Errorf("reading activity: %w", err)
	}
	j := newAPJob(doc, &Context{Domain: domain})
	j.refs = &Refs{}
	j.seen = map[string]bool{}
	j.dispatch()
	return *j.refs, nil
}

// apJob is one conversion from the fediverse.
type apJob struct {
	c   *Context
	doc *as2.Value // the activity, or the bare object
	obj *as2.Value // the object that becomes a record
	// actorID and actor are who acts; base is the address against which relative links are read.
	actorID string
	actor   Actor
	base    string
	lines   *apLines

	mentions []apMention
	hashtags *apHashtags
	links    []apLink
	quoted   string          // what is quoted, as the document names it
	shown    map[string]bool // addresses of media that are attachments
	pictures []apMedia       // pictures that stand in the text
	// noPictures leaves pictures in the text where they are.
	noPictures bool
	// needHome is set where something was shortened that only the original shows whole.
	needHome bool

	out   ATResult
	index *apPeople

	refs *Refs // set when only collecting
	seen map[string]bool
}

func newAPJob(doc *as2.Value, c *Context) *apJob {
	return &apJob{c: c, doc: doc, lines: apLinesIn(c.Options.Language)}
}

func (j *apJob) collecting() bool { return j.refs != nil }

// drop ends a conversion without a result. While collecting it does nothing, so that the walk goes on.
func (j *apJob) drop(r DropReason) {
	if !j.collecting() && j.out.Dropped == None {
		j.out.Dropped = r
	}
}

const maxLosses = 32

// lose names a loss once.
func (j *apJob) lose(k LossKind, detail string) {
	if len(j.out.Losses) >= maxLosses {
		return
	}
	detail = shortDetail(detail)
	for _, l := range j.out.Losses {
		if l.Kind == k && l.Detail == detail {
			return
		}
	}
	j.out.Losses = append(j.out.Losses, Loss{k, detail})
}

func (j *apJob) result() ATResult {
	out := j.out
	if out.Dropped != None {
		out = ATResult{Dropped: out.Dropped, Losses: out.Losses}
	} else if len(out.Writes)+len(out.Reports)+len(out.DMs) == 0 && out.Account == "" {
		out.Dropped = DropEmpty
	}
	if out.Writes == nil {
		out.Writes = []Write{}
	}
	if out.Reports == nil {
		out.Reports = []map[string]any{}
	}
	if out.DMs == nil {
		out.DMs = []DM{}
	}
	return out
}

// dispatch decides by type. A document may have several; the first that is known counts.
func (j *apJob) dispatch() {
	types := j.doc.Get("type").List()
	for i := range types {
		if h := apHandler(types[i].Name()); h != nil {
			h(j)
			return
		}
	}
	j.unknown()
}

// apHandler is the table of types.
func apHandler(t string) func(*apJob) {
	switch t {
	case "Create":
		return (*apJob).create
	case "Update":
		return (*apJob).update
	case "Delete":
		return (*apJob).remove
	case "Undo":
		return (*apJob).undo
	case "Add":
		return (*apJob).pin
	case "Remove":
		return (*apJob).unpin
	case "Move":
		return (*apJob).move
	case "Tombstone":
		return (*apJob).tombstone
	case "Like", "EmojiReact", "EmojiReaction":
		return (*apJob).like
	case "Announce":
		return (*apJob).announce
	case "Follow":
		return (*apJob).follow
	case "Block":
		return (*apJob).block
	case "Flag":
		return (*apJob).flag
	case "Accept", "Reject", "TentativeAccept", "TentativeReject", "QuoteRequest", "LikeRequest", "ReplyRequest", "AnnounceRequest",
		"FeatureRequest", "QuoteAuthorization", "LikeAuthorization", "ReplyAuthorization", "AnnounceAuthorization", "LikeApproval",
		"ReplyApproval", "AnnounceApproval":
		return func(j *apJob) { j.drop(DropHandshake) }
	case "ChatMessage":
		return func(j *apJob) { j.drop(DropMessage) }
	case "Story":
		return func(j *apJob) { j.drop(DropStory) }
	case "Person", "Service", "Group", "Organization", "Application":
		return (*apJob).bareActor
	}
	if isPostType(t) {
		return (*apJob).bareObject
	}
	return nil
}

// isPostType knows the types of objects that become posts.
func isPostType(t string) bool {
	switch t {
	case "Note", "Article", "Page", "Question", "Video", "Audio", "Image", "Event", "Document",
		"Review", "Comment", "Quotation", "Rating", "Album", "Track", "Podcast", "PodcastEpisode", "Recipe":
		return true
	}
	return false
}

// isNoPost knows objects that are parts or descriptions of others. What else a server calls its works is shown by name
// and link.
func isNoPost(o *as2.Value) bool {
	return o.Type() == "" || o.Is("Place", "Relationship", "Profile", "Collection", "OrderedCollection", "CollectionPage", "OrderedCollectionPage",
		"Link", "Mention", "Hashtag", "Emoji", "PropertyValue", "Key")
}

// unknown names what a type is that has no rule. The vocabulary knows the kinds of activity that have no counterpart.
func (j *apJob) unknown() {
	if j.collecting() {
		return
	}
	view, err := as2.Typed(j.doc)
	if err == nil && view.IsActivity() || j.doc.Has("actor") && j.doc.Has("object") {
		j.drop(DropNoCounterpart)
		return
	}
	j.drop(DropUnsupportedType)
}

// act finds who acts and whether they joined. It reports whether the conversion goes on.
func (j *apJob) act(id string) bool {
	j.actorID = id
	if id == "" {
		j.drop(DropMalformed)
		return j.collecting()
	}
	if _, own := ParseOwnID(j.c.Domain, id); own {
		j.drop(DropLoop)
		return false
	}
	a, ok := j.person(id)
	switch {
	case !ok:
		j.drop(DropAuthorNotJoined)
		return j.collecting()
	case a.Native == "at":
		j.drop(DropLoop)
		return false
	}
	j.actor = a
	return true
}

// create turns the object of a Create into a record.
func (j *apJob) create() {
	j.obj = j.object()
	if j.obj.Type() == "ChatMessage" {
		j.drop(DropMessage)
		return
	}
	if j.act(j.sender()) {
		j.make("create")
	}
}

// sender is the actor of an activity, or, where that is missing, the only one its object is attributed to.
func (j *apJob) sender() string {
	if a := j.doc.RefOf("actor"); a != "" {
		return a
	}
	if by := j.obj.Refs("attributedTo"); len(by) == 1 {
		return by[0]
	}
	return ""
}

// object is the embedded object, or the one that was fetched if only its id stands there.
func (j *apJob) object() *as2.Value {
	o := j.doc.Get("object").First()
	if o.IsObject() {
		return o
	}
	id := o.Ref()
	if id == "" {
		return nil
	}
	j.want(refObjects, id)
	if raw, ok := j.c.APObjects[id]; ok {
		if v, err := as2.Parse(raw); err == nil {
			return v
		}
	}
	return nil
}

// bareObject is an object that arrived without an activity; it counts as created by whom it is attributed to.
func (j *apJob) bareObject() {
	j.obj = j.doc
	for _, id := range append(j.doc.Refs("attributedTo"), j.doc.RefOf("actor")) {
		if id == "" {
			continue
		}
		if _, ok := j.person(id); ok || j.collecting() {
			j.act(id)
			j.make("create")
			return
		}
	}
	if ids := j.doc.Refs("attributedTo"); len(ids) > 0 {
		j.act(ids[0])
		return
	}
	j.drop(DropMalformed)
}

// update replaces a profile or a post that was bridged.
func (j *apJob) update() {
	j.obj = j.object()
	actor := j.sender()
	if isActorType(j.obj) {
		if j.obj.ID() != actor && !j.collecting() {
			j.drop(DropNotOwner)
			return
		}
		if j.act(actor) {
			j.profile("update")
		}
		return
	}
	if j.act(actor) {
		j.make("update")
	}
}

func isActorType(o *as2.Value) bool {
	return o.Is("Person", "Service", "Group", "Organization", "Application")
}

func (j *apJob) bareActor() {
	j.obj = j.doc
	if j.act(j.doc.ID()) {
		j.profile("update")
	}
}

// make converts the object if its actor owns it.
func (j *apJob) make(action string) {
	switch {
	case !j.obj.IsObject():
		j.drop(DropMalformed)
	case isActorType(j.obj):
		if j.obj.ID() != j.actorID {
			j.drop(DropNotOwner)
		} else {
			j.profile(action)
		}
	case j.obj.Is("ChatMessage"):
		j.drop(DropMessage)
	case j.obj.Is("Story"):
		j.drop(DropStory)
	case j.obj.Is("Tombstone"):
		j.deleteObject(j.obj.ID())
	case isAPActivity(j.obj):
		j.drop(DropGroupRelay)
	case isNoPost(j.obj):
		j.drop(DropUnsupportedType)
	case !j.owns(j.obj) && !j.collecting():
		j.drop(DropNotOwner)
	default:
		j.post(action)
	}
}

func isAPActivity(o *as2.Value) bool {
	t := o.Type()
	return apHandler(t) != nil && !isPostType(t) && !isActorType(o) && t != "Tombstone"
}

// owns tells whether the actor may make or change an object: it is attributed to them and lives where they live.
func (j *apJob) owns(o *as2.Value) bool {
	id := o.ID()
	if _, own := ParseOwnID(j.c.Domain, id); own {
		return false
	}
	if hostOf(id) != "" && hostOf(id) != hostOf(j.actorID) {
		return false
	}
	by := append(o.Refs("attributedTo"), o.Refs("actor")...)
	for _, a := range by {
		if a == j.actorID {
			return true
		}
	}
	return len(by) == 0
}
