package pds

import (
	"sync"

	"github.com/ipfs/go-cid"
)

// nodeCache keeps the blocks of recently used MST nodes. A block is what its CID says whatever becomes of the transaction
// that wrote it, so nothing here can be wrong; a tree only ever asks for CIDs that it holds. Two generations stand in for
// an order of use.
type nodeCache struct {
	mu       sync.Mutex
	max      int
	size     int
	now, old map[cid.Cid][]byte
}

// cacheBytes bounds one generation; the cache holds at most twice that.
const cacheBytes = 8 << 20

func newNodeCache(max int) *nodeCache {
	return &nodeCache{max: max, now: map[cid.Cid][]byte{}, old: map[cid.Cid][]byte{}}
}

func (c *nodeCache) get(id cid.Cid) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.now[id]; b != nil {
		return b
	}
	b := c.old[id]
	if b != nil {
		c.add(id, b)
	}
	return b
}

func (c *nodeCache) put(id cid.Cid, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now[id] == nil {
		c.add(id, b)
	}
}

func (c *nodeCache) add(id cid.Cid, b []byte) {
	if c.size+len(b) > c.max {
		c.old, c.now, c.size = c.now, map[cid.Cid][]byte{}, 0
	}
	c.now[id] = b
	c.size += len(b) + 128 // what the map takes
}

func (c *nodeCache) drop(ids []cid.Cid) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if b := c.now[id]; b != nil {
			c.size -= len(b) + 128
			delete(c.now, id)
		}
		delete(c.old, id)
	}
}
