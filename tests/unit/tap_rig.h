/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_TAP_RIG_H
#define UNIT_TAP_RIG_H

/*
 * What the tests of the tap and macvtap ports share: real interfaces in a network namespace of
 * their own, and frames to go through them.
 */
#include "netns.h"

#include <endian.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <viodm/ports.h>

#include "port_user.h"

#define BIT(name) (1ULL << VIRTIO_NET_F_##name)

/* A tap with its users, and what the host sees of it. */
struct rig {
	struct vio_port *port;
	struct vio_loop *loop;
	struct port_user *u[4];
	unsigned pairs;
	int sock;
	unsigned n_down, n_up;
};

static inline void on_link(struct vio_port *port, bool up)
{
	struct rig *t = port->user;

	if (up)
		t->n_up++;
	else
		t->n_down++;
}

static inline void rig_on_port(struct rig *t, struct vio_port *port, unsigned pairs)
{
	t->port = port;
	t->pairs = pairs;
	port->on_link = on_link;
	port->user = t;
	MUST(vio_loop_manual_create(&t->loop));
	for (unsigned i = 0; i < pairs; i++)
		t->u[i] = user_attach(port, t->loop, (uint16_t)i);
}

static inline void rig_up(struct rig *t)
{
	char command[64];

	snprintf(command, sizeof(command), "ip link set %s up", vio_port_tap_name(t->port));
	netns_run(command);
	t->sock = netns_socket(vio_port_tap_name(t->port), NETNS_ETHERTYPE, false);
}

static inline void rig_init(struct rig *t, unsigned pairs)
{
	struct vio_port_tap_config cfg = {.name = "tap0", .pairs = (uint16_t)pairs};
	struct vio_port *port;

	memset(t, 0, sizeof(*t));
	MUST(vio_port_tap_open(&cfg, &port));
	rig_on_port(t, port, pairs);
	rig_up(t);
}

static inline void rig_fini(struct rig *t)
{
	for (unsigned i = 0; i < t->pairs; i++)
		if (t->u[i])
			user_detach(t->u[i]);
	vio_port_close(t->port);
	vio_loop_destroy(t->loop);
	close(t->sock);
}

/* A frame of our type whose payload is made of `number`. */
static inline void fill(uint8_t *data, size_t len, unsigned number)
{
	memcpy(data, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x09\x88\xb5", 14);
	for (size_t i = 14; i < len; i++)
		data[i] = (uint8_t)(number + i);
}

static inline void host_sends(const struct rig *t, size_t len, unsigned number)
{
	uint8_t data[2000];

	fill(data, len, number);
	CU_ASSERT_EQUAL(send(t->sock, data, len, 0), (ssize_t)len);
}

static inline bool host_gets(const struct rig *t, size_t len, unsigned number)
{
	uint8_t data[2000], want[2000];

	fill(want, len, number);
	return netns_recv(t->sock, data, sizeof(data)) == (ssize_t)len && !memcmp(data, want, len);
}

static inline bool is_frame(const struct user_frame *f, size_t len, unsigned number)
{
	uint8_t want[2000];

	fill(want, len, number);
	return f->len == len && !memcmp(f->data, want, len) &&
	       !memcmp(&f->hdr, &(struct vio_frame_hdr){0}, sizeof(f->hdr));
}

static const size_t lengths[] = {15, 60, 64, 65, 576, 1500, 1514};

static inline int tun_open(const char *name, short flags)
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	must(fd, "/dev/net/tun");
	strcpy(ifr.ifr_name, name);
	MUST(ioctl(fd, TUNSETIFF, &ifr));
	return fd;
}

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

/* The interface is deleted: the link goes down, once, and nothing spins or waits. */
static inline void deleted(struct rig *t, const char *command)
{
	struct vio_port_info info;
	uint8_t data[100] = {0};

	for (unsigned i = 0; i < t->pairs; i++)
		user_receive(t->u[i], i == 1 ? 0 : 10); /* one of them is not looking */
	user_settle(t->u[0]);
	netns_run(command);
	for (unsigned i = 0; i < 100 && t->n_down == 0; i++)
		vio_loop_manual_run(t->loop, 10);
	CU_ASSERT_EQUAL(t->n_down, 1);
	user_settle(t->u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
	for (unsigned i = 0; i < t->pairs; i++) {
		CU_ASSERT_TRUE(user_send(t->u[i], data, 100));
		user_receive(t->u[i], 10);
		vio_port_select(t->u[i]->pq, false);
		vio_port_select(t->u[i]->pq, true);
	}
	user_settle(t->u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
	CU_ASSERT_EQUAL(t->n_down, 1);
	CU_ASSERT_EQUAL(t->n_up, 0);
	CU_ASSERT_EQUAL(vio_port_set_offloads(t->port, BIT(GUEST_CSUM)), 0);
	CU_ASSERT_EQUAL(vio_port_info(t->port, &info), 0);
	CU_ASSERT_FALSE(info.link_up);
	user_detach(t->u[0]);
	t->u[0] = user_attach(t->port, t->loop, 0);
	user_receive(t->u[0], 10);
	user_settle(t->u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
}

static inline bool gone_room(struct vio_port_queue *pq, struct vio_port_room *room)
{
	static struct iovec iov; /* .len 4096, where nothing can be written */

	(void)pq;
	if (!iov.iov_base)
		iov = (struct iovec){
			mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096};
	*room = (struct vio_port_room){.iov = &iov, .n_iov = 1, .len = 4096};
	return true;
}

/* A driver whose memory is gone loses its frames, not the interface. A tap does not say so. */
static inline void memory_gone(struct rig *t)
{
	struct vio_port_user gone = port_user;

	gone.room = gone_room;
	t->u[0]->pq->user = &gone;
	user_receive(t->u[0], 10);
	for (unsigned i = 0; i < 3; i++)
		host_sends(t, 100, i);
	for (unsigned i = 0; i < 5; i++)
		vio_loop_manual_run(t->loop, 10);
	CU_ASSERT_EQUAL(t->n_down, 0);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
	user_drop(t->u[0]);
	t->u[0]->pq->user = &port_user;
	host_sends(t, 100, 7);
	CU_ASSERT_TRUE(user_wait(t->u[0], 1));
	CU_ASSERT_TRUE(t->u[0]->n == 1 && is_frame(&t->u[0]->got[0], 100, 7));
}

static inline int rig_suite(const char *name, CU_TestInfo *tests)
{
	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		printf("skipped: /dev/net/tun: %s\n", strerror(errno));
		return SUITE_SKIP;
	}
	if (!netns_enter())
		return SUITE_SKIP;
	return suite_run(name, tests);
}

#endif
