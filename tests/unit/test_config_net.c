/* SPDX-License-Identifier: BSD-3-Clause */
/* Sections [net NAME]: what is refused and why, and what the device and its port become. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <string.h>

#include <viodm/config.h>
#include <viodm/inproc.h>
#include <viodm/loop_manual.h>
#include <viodm/net.h>

#include "suite.h"

static struct vio_config *checked(const char *text, int *r)
{
	struct vio_config *cfg;

	MUST(vio_config_create(NULL, 0, &cfg));
	*r = vio_config_read_buffer(cfg, "t.ini", text, strlen(text));
	if (*r == 0)
		*r = vio_config_check(cfg);
	return cfg;
}

static void refused(const char *text, const char *want)
{
	struct vio_config *cfg;
	int r;

	cfg = checked(text, &r);
	CU_ASSERT_TRUE(r < 0);
	CU_ASSERT_STRING_EQUAL(vio_config_error(cfg), want);
	if (strcmp(vio_config_error(cfg), want) != 0)
		printf("\n  got:  %s\n  want: %s\n", vio_config_error(cfg), want);
	vio_config_destroy(cfg);
}

#define PORTS "tap, macvtap, user, stream, dgram, loop"
#define KEYS                                                                                       \
	"transport, backend, port, mac, queue-pairs, queue-size, mtu, speed, offloads, "           \
	"mrg-rxbuf, hash, moderation-us, capture, capture-snaplen, notification-data, vectors, "   \
	"socket, "                                                                                 \
	"socket-mode, socket-owner, socket-group, sealed-memory, in-order, iothreads, "            \
	"interface, fds, network, host, dns, dhcp-start, "                                         \
	"ipv6, ipv6-network, hostname, restricted, forward, max-sockets, connect, listen, "        \
	"reconnect-ms, local, remote, generate"
#define LOOP "[net n]\nport = loop\n" /* lines 1 and 2 */

static void test_refused(void)
{
	refused("[net n]\n", "t.ini:1: [net n] port: required (" PORTS " or null)");
	refused("[net n]\nport = lop\n",
		"t.ini:2: [net n] port: unknown value \"lop\"; did you mean \"loop\"? "
		"(known: " PORTS ", null)");
	refused(LOOP "mac = 01:00:5e:00:00:01\n",
		"t.ini:3: [net n] mac: \"01:00:5e:00:00:01\" is the address of a group (MAC "
		"address, or auto)");
	refused(LOOP "mac = 52:54:00\n",
		"t.ini:3: [net n] mac: \"52:54:00\" is not like 52:54:00:12:34:56 (MAC address, "
		"or auto)");
	refused(LOOP "mtu = 67\n",
		"t.ini:3: [net n] mtu: \"67\" is out of range (number 68..65535, or auto)");
	refused(LOOP "queue-pairs = 128\n",
		"t.ini:3: [net n] queue-pairs: \"128\" is out of range (number 1..127)");
	refused(LOOP "queue-size = 100\n", "t.ini:3: [net n] queue-size: \"100\" is not a power of "
					   "two (power of two 2..1024, or auto)");
	refused("[net n]\nport = null\ngenerate = 59\n",
		"t.ini:3: [net n] generate: \"59\" is out of range (number 60..65549, or none)");
	refused(LOOP "capture-snaplen = 64\n",
		"t.ini:3: [net n] capture-snaplen: 64, but there is no `capture`");
	refused(LOOP "generate = 64\n",
		"t.ini:3: [net n] generate: belongs to port = null; this section has port = loop");
	refused(LOOP "image = x\n", "t.ini:3: [net n] unknown key \"image\" (known: " KEYS ")");
}

#define USER   "[net n]\nport = user\n"
#define STREAM "[net n]\nport = stream\n"
#define DGRAM  "[net n]\nport = dgram\n"

static void test_user_refused(void)
{
	refused(USER "queue-pairs = 2\n",
		"t.ini:3: [net n] queue-pairs: 2 is more than port = user can do (1..1)");
	refused(USER "network = 10.0.2.0/28\n",
		"t.ini:3: [net n] network: \"10.0.2.0/28\" is no IPv4 network with a prefix length "
		"of 27 at most, like 10.0.2.0/24");
	refused(USER "ipv6-network = fec0::/63\n", "t.ini:3: [net n] ipv6-network: \"fec0::/63\" "
						   "is no IPv6 network with prefix length "
						   "64, like fec0::/64");
	refused(USER "ipv6 = on\nmtu = 1279\n",
		"t.ini:4: [net n] mtu: \"1279\" is not what port = user with ipv6 = on can do "
		"(1280..65521)");
	refused(USER "mtu = 65535\n", "t.ini:3: [net n] mtu: \"65535\" is not what port = user can "
				      "do (68..65521)");
	refused(USER "host = 10.0.3.2\n",
		"t.ini:1: [net n] host, dns and dhcp-start are not three addresses of the network "
		"10.0.2.0/24");
	refused(USER "forward = tcp::1-:22, tcp:22\n",
		"t.ini:3: [net n] forward: \"tcp:22\" is not like tcp:127.0.0.1:2222-:22");
	refused(USER "forward = ,\n", "t.ini:3: [net n] forward: \",\" has no name of a port");
}

static void test_socket_refused(void)
{
	refused(STREAM, "t.ini:1: [net n] port = stream needs `connect` or `listen`");
	refused(STREAM "connect = a\nlisten = b\n",
		"t.ini:4: [net n] listen: \"b\" goes without `connect`: one of them makes the "
		"connection");
	refused(STREAM "connect = fd:x\n",
		"t.ini:3: [net n] connect: \"fd:x\" is no descriptor: fd:N with N from 3 (for a "
		"file of that name write ./fd:...)");
	refused(DGRAM, "t.ini:1: [net n] local: required with port = dgram (path)");
	refused(DGRAM "local = a\n",
		"t.ini:3: [net n] local: \"a\" needs `remote`, where frames go to");
	refused(DGRAM "local = fd:5\nremote = b\n",
		"t.ini:4: [net n] remote: \"b\" has no place beside a descriptor, which is "
		"connected");
	refused(DGRAM "local = a\nremote = fd:5\n", "t.ini:4: [net n] remote: \"fd:5\" is no path; "
						    "a connected socket goes to `local`");
	refused(DGRAM "queue-pairs = 2\nlocal = a\nremote = b\n",
		"t.ini:3: [net n] queue-pairs: 2 is more than port = dgram can do (1..1)");
}

#define TAP "[net n]\nport = tap\n"

static void test_tap_refused(void)
{
	refused(TAP "interface = abcdefghijklmnop\n",
		"t.ini:3: [net n] interface: \"abcdefghijklmnop\" is no name of an interface (15 "
		"bytes at most)");
	refused(TAP "interface = t0\nfds = fd:5\n",
		"t.ini:4: [net n] fds: \"fd:5\" has no place beside `interface`");
	refused(TAP "fds = fd:5 7\n",
		"t.ini:3: [net n] fds: \"fd:5 7\" is not like fd:5 fd:6, with numbers from 3");
	refused(TAP "fds = fd:5 fd:6\n",
		"t.ini:3: [net n] fds: 2, but queue-pairs = 1: one for each pair");
	refused("[net n]\nport = macvtap\n",
		"t.ini:1: [net n] port = macvtap needs `interface` or `fds`");
}

/* ---- devices --------------------------------------------------------------------------------- */

struct stand {
	struct vio_config *cfg;
	struct vio_loop *loop;
	struct vio_assembly *devices;
	struct vio_device *dev;
};

static void stand_init(struct stand *s, const char *text)
{
	struct vio_config_env env = {0};
	int r;

	s->cfg = checked(text, &r);
	if (r < 0)
		printf("\n  %s\n", vio_config_error(s->cfg));
	MUST(r);
	MUST(vio_loop_manual_create(&s->loop));
	env.loop = s->loop;
	r = vio_assembly_create(s->cfg, &env, &s->devices);
	if (r < 0)
		printf("\n  %s\n", vio_config_error(s->cfg));
	MUST(r);
	s->dev = vio_assembly_device(s->devices, 0);
}

static void stand_fini(struct stand *s)
{
	vio_assembly_destroy(s->devices);
	vio_loop_destroy(s->loop);
	vio_config_destroy(s->cfg);
}

static bool offers(const struct stand *s, unsigned feature)
{
	return vio_device_offered(s->dev, feature / 32) & UINT32_C(1) << feature % 32;
}

static void test_default(void)
{
	struct vio_net_state state;
	struct stand s;

	stand_init(&s, LOOP);
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 0)->model, "net");
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 0)->port, "loop");
	CU_ASSERT_PTR_NULL(vio_config_device(s.cfg, 0)->engine);
	CU_ASSERT_EQUAL(vio_device_id(s.dev), VIRTIO_ID_NET);
	CU_ASSERT_EQUAL(vio_device_n_queues(s.dev), 3);
	CU_ASSERT_PTR_NULL(vio_assembly_storage(s.devices, 0));
	CU_ASSERT_PTR_NOT_NULL(vio_assembly_port(s.devices, 0));
	CU_ASSERT_PTR_NULL(vio_assembly_port(s.devices, 1));
	vio_net_get_state(s.dev, &state);
	CU_ASSERT_EQUAL(state.mac[0] & 3, 2); /* made up: locally administered, of one card */
	CU_ASSERT_TRUE(offers(&s, VIRTIO_NET_F_CSUM));
	CU_ASSERT_TRUE(offers(&s, VIRTIO_NET_F_MRG_RXBUF));
	CU_ASSERT_FALSE(offers(&s, VIRTIO_NET_F_MTU));
	stand_fini(&s);
}

static void test_options(void)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
	struct vio_net_state state;
	struct vio_queue_regs regs;
	struct stand s;

	stand_init(
		&s,
		"[net n]\nport = null\nmac = 52:54:00:12:34:56\nqueue-pairs = 3\nqueue-size = 64\n"
		"mtu = 9000\nspeed = 2500\noffloads = off\nmrg-rxbuf = off\n");
	CU_ASSERT_EQUAL(vio_device_n_queues(s.dev), 7);
	vio_net_get_state(s.dev, &state);
	CU_ASSERT_EQUAL(memcmp(state.mac, mac, sizeof(mac)), 0);
	CU_ASSERT_EQUAL(state.mtu, 9000);
	CU_ASSERT_TRUE(offers(&s, VIRTIO_NET_F_MTU));
	CU_ASSERT_TRUE(offers(&s, VIRTIO_NET_F_MQ));
	CU_ASSERT_FALSE(offers(&s, VIRTIO_NET_F_MRG_RXBUF));
	for (unsigned f = VIRTIO_NET_F_CSUM; f <= VIRTIO_NET_F_CTRL_GUEST_OFFLOADS; f++)
		CU_ASSERT_FALSE(offers(&s, f));
	for (unsigned f = VIRTIO_NET_F_GUEST_TSO4; f <= VIRTIO_NET_F_HOST_UFO; f++)
		CU_ASSERT_FALSE(offers(&s, f));
	for (unsigned f = 54; f <= 56; f++) /* GUEST_USO4, GUEST_USO6, HOST_USO */
		CU_ASSERT_FALSE(offers(&s, f));
	vio_device_queue_get(s.dev, 0, &regs);
	CU_ASSERT_EQUAL(regs.max_size, 64);
	stand_fini(&s);
}

/* A front-end of vhost-user comes with any size. */
static void test_queue_size(void)
{
	struct vio_queue_regs regs;
	struct stand s;

	stand_init(&s, LOOP);
	vio_device_queue_get(s.dev, 1, &regs);
	CU_ASSERT_EQUAL(regs.max_size, 256);
	stand_fini(&s);
	stand_init(&s, LOOP "transport = vhost-user\nsocket = n.sock\n");
	vio_device_queue_get(s.dev, 1, &regs);
	CU_ASSERT_EQUAL(regs.max_size, 1024);
	stand_fini(&s);
}

static void test_null(void)
{
	struct stand s;

	stand_init(&s, "[net n]\nport = null\ngenerate = 1518\nqueue-pairs = 127\n");
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 0)->port, "null");
	CU_ASSERT_EQUAL(vio_device_n_queues(s.dev), 255);
	CU_ASSERT_TRUE(offers(&s, VIRTIO_NET_F_CSUM));
	CU_ASSERT_TRUE(offers(&s, VIRTIO_NET_F_HOST_TSO4));
	stand_fini(&s);
}

static void expect_failure(const char *text, int want, const char *error)
{
	struct vio_config_env env = {0};
	struct vio_assembly *devices;
	struct vio_config *cfg;
	int r;

	cfg = checked(text, &r);
	MUST(r);
	MUST(vio_loop_manual_create(&env.loop));
	CU_ASSERT_EQUAL(vio_assembly_create(cfg, &env, &devices), want);
	CU_ASSERT_STRING_EQUAL(vio_config_error(cfg), error);
	if (strcmp(vio_config_error(cfg), error) != 0)
		printf("\n  got:  %s\n  want: %s\n", vio_config_error(cfg), error);
	vio_loop_destroy(env.loop);
	vio_config_destroy(cfg);
}

/* What cannot be made says why. */
static void test_open_failed(void)
{
	expect_failure(STREAM "connect = /nonexistent/x\nreconnect-ms = 0\n", -ENOENT,
		       "t.ini:1: [net n] the port cannot be made: No such file or directory "
		       "(nobody listens there)");
	expect_failure(LOOP "capture = /nonexistent/x\n", -ENOENT,
		       "t.ini:1: [net n] the port cannot be made: No such file or directory (the "
		       "file of `capture`)");
	expect_failure("[net n]\nport = macvtap\ninterface = none0\n", -ENODEV,
		       "t.ini:1: [net n] the port cannot be made: No such device (no such "
		       "interface, or no /dev/tapN for it: ip link add link ... type macvtap)");
}

static void test_capture(void)
{
	uint32_t magic = 0;
	struct stand s;
	FILE *f;

	stand_init(&s, LOOP "capture = net.pcap\ncapture-snaplen = 64\n");
	stand_fini(&s);
	f = fopen("net.pcap", "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(fread(&magic, sizeof(magic), 1, f), 1);
	CU_ASSERT_EQUAL(magic, 0xa1b23c4d); /* pcap with nanoseconds */
	fclose(f);
	remove("net.pcap");
}

static void test_user(void)
{
	struct vio_net_state state;
	struct stand s;

	stand_init(&s,
		   USER "mtu = 4000\nnetwork = 10.9.8.0/24\nhost = 10.9.8.1\nhostname = g\n"
			"forward = tcp:127.83.12.5:34571-:22 udp:127.83.12.5:34571-10.9.8.20:9\n");
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 0)->port, "user");
	vio_net_get_state(s.dev, &state);
	CU_ASSERT_EQUAL(state.mtu, 4000);
	stand_fini(&s);
}

static void test_sockets(void)
{
	struct stand s, t;

	stand_init(&s, STREAM "listen = stream.sock\n");
	CU_ASSERT_FALSE(vio_net_link(s.dev)); /* nobody is there */
	stand_init(&t, STREAM "connect = stream.sock\nreconnect-ms = 0\n");
	CU_ASSERT_TRUE(vio_net_link(t.dev));
	stand_fini(&t);
	stand_fini(&s);
	stand_init(&s, DGRAM "local = d1.sock\nremote = d2.sock\n");
	CU_ASSERT_TRUE(vio_net_link(s.dev));
	stand_fini(&s);
}

static void test_print(void)
{
	char *text = NULL;
	size_t len;
	struct vio_config *cfg;
	FILE *f = open_memstream(&text, &len);
	int r;

	MUST(f ? 0 : -ENOMEM);
	cfg = checked("[net n]\nport = null\nmac = 52:54:00:12:34:56\nqueue-pairs = 2\n", &r);
	MUST(r);
	vio_config_print(cfg, f);
	fclose(f);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nport = null\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nmac = 52:54:00:12:34:56\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ngenerate = none\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n; 2 pairs of virtqueues of 256\n"));
	free(text);
	vio_config_destroy(cfg);
}

static CU_TestInfo tests[] = {
	{"what is refused", test_refused},
	{"what is refused of port = user", test_user_refused},
	{"what is refused of a tap", test_tap_refused},
	{"what is refused of sockets", test_socket_refused},
	{"a port that cannot be made", test_open_failed},
	{"capture", test_capture},
	{"port = user", test_user},
	{"port = stream, port = dgram", test_sockets},
	{"a card without options", test_default},
	{"a card with all options", test_options},
	{"queue size", test_queue_size},
	{"port = null", test_null},
	{"printed", test_print},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("config net", tests);
}
