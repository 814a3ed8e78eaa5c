/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asks for an address by DHCP over a port and prints the one offered: shows that frames pass in
 * both directions between the port and somebody else's program.
 *
 *	ask_dhcp stream PATH         connects
 *	ask_dhcp listen PATH         waits for the peer to connect
 *	ask_dhcp dgram LOCAL REMOTE
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <viodm/loop_manual.h>
#include <viodm/ports.h>

#define ETH	 14u
#define IP	 20u
#define UDP	 8u
#define BOOTP	 300u /* the least some servers take */
#define OPTIONS	 240u
#define TRIES	 50
#define PAUSE_MS 200
#define XID	 "viod"

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

struct asker {
	struct vio_loop *loop;
	struct vio_port *port;
	struct vio_port_queue *pq;
	uint8_t frame[ETH + IP + UDP + BOOTP];
	struct in_addr offer;
	bool offered;
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void make_discover(struct asker *a)
{
	uint8_t *ip = a->frame + ETH, *udp = ip + IP, *bootp = udp + UDP;
	uint32_t sum = 0;

	memset(a->frame, 0xff, 6);
	memcpy(a->frame + 6, mac, sizeof(mac));
	put16(a->frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, IP + UDP + BOOTP);
	ip[8] = 64;
	ip[9] = 17;
	memset(ip + 16, 0xff, 4);
	for (unsigned i = 0; i < IP; i += 2)
		sum += (unsigned)ip[i] << 8 | ip[i + 1];
	put16(ip + 10, 0xffff ^ ((sum & 0xffff) + (sum >> 16)));
	put16(udp, 68);
	put16(udp + 2, 67);
	put16(udp + 4, UDP + BOOTP); /* no checksum: it is optional */
	memcpy(bootp, "\1\1\6", 3);
	memcpy(bootp + 4, XID, 4);
	memcpy(bootp + 28, mac, sizeof(mac));
	memcpy(bootp + 236, "\x63\x82\x53\x63\x35\1\1\xff", 8); /* message type: DISCOVER */
}

/* Do the options, in whatever order, say OFFER? */
static bool says_offer(const uint8_t *opt, size_t len)
{
	for (size_t i = 0; i + 2 < len && opt[i] != 0xff; i += opt[i] == 0 ? 1 : 2u + opt[i + 1])
		if (opt[i] == 53)
			return opt[i + 2] == 2;
	return false;
}

/* Is it the answer? Frames of others come by as well. */
static void look_at(struct asker *a, const uint8_t *d, size_t len)
{
	const uint8_t *bootp = d + ETH + IP + UDP;

	if (len < ETH + IP + UDP + OPTIONS || d[12] != 8 || d[13] != 0 || d[ETH] != 0x45 ||
	    d[ETH + 9] != 17 || bootp[0] != 2 || memcmp(bootp + 4, XID, 4) != 0 ||
	    !says_offer(bootp + OPTIONS, len - ETH - IP - UDP - OPTIONS))
		return;
	memcpy(&a->offer, bootp + 16, sizeof(a->offer));
	a->offered = true;
}

static unsigned on_deliver(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++) /* these ports bring each frame in one piece */
		if (frames[i].n_iov == 1)
			look_at(pq->user_data, frames[i].iov->iov_base, frames[i].len);
	return n;
}

static bool on_room(struct vio_port_queue *pq, struct vio_port_room *room)
{
	(void)pq;
	(void)room;
	return false;
}

static void on_received(struct vio_port_queue *pq, const struct vio_frame_hdr *hdr, size_t len)
{
	(void)pq;
	(void)hdr;
	(void)len;
}

static void on_nothing(struct vio_port_queue *pq)
{
	(void)pq;
}

static const struct vio_port_user user = {
	.room = on_room,
	.received = on_received,
	.deliver = on_deliver,
	.flush = on_nothing,
	.writable = on_nothing,
};

static int open_port(struct asker *a, int argc, char **argv)
{
	struct vio_port_stream_config stream = {.path = argv[2], .reconnect_ms = 50};
	struct vio_port_dgram_config dgram = {.local = argv[2], .remote = argv[3]};

	if (argc == 4 && strcmp(argv[1], "dgram") == 0)
		return vio_port_dgram_open(&dgram, &a->port);
	stream.server = strcmp(argv[1], "listen") == 0;
	return vio_port_stream_open(&stream, &a->port);
}

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "ask_dhcp: %s: %s\n", what, strerror(-r));
	exit(1);
}

int main(int argc, char **argv)
{
	struct asker a = {0};
	struct iovec iov = {a.frame, sizeof(a.frame)};
	const struct vio_frame f = {.iov = &iov, .n_iov = 1, .len = sizeof(a.frame)};

	if (argc < 3) {
		fprintf(stderr, "usage: ask_dhcp stream|listen PATH | dgram LOCAL REMOTE\n");
		return 2;
	}
	make_discover(&a);
	check(vio_loop_manual_create(&a.loop), "loop");
	check(open_port(&a, argc, argv), argv[2]);
	check(vio_port_attach(a.port, 0, a.loop, &user, &a, &a.pq), "attach");
	vio_port_receive(a.pq, true);
	for (int i = 0; i < TRIES && !a.offered; i++) {
		vio_port_send(a.pq, &f, 1);
		for (int k = 0; k < PAUSE_MS / 10 && !a.offered; k++)
			vio_loop_manual_run(a.loop, 10);
	}
	vio_port_detach(a.pq);
	vio_port_close(a.port);
	vio_loop_destroy(a.loop);
	if (!a.offered) {
		fprintf(stderr, "ask_dhcp: no offer\n");
		return 1;
	}
	printf("offered %s\n", inet_ntoa(a.offer));
	return 0;
}
