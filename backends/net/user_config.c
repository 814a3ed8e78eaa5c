/* SPDX-License-Identifier: BSD-3-Clause */
#include "user.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PREFIX 27 /* room for the addresses 2, 3 and 15 */

/* A number of digits only, `min`..`max`; -EINVAL. */
static int parse_number(const char *text, long min, long max)
{
	char *end;
	long v;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtol(text, &end, 10);
	return *end || errno || v < min || v > max ? -EINVAL : (int)v;
}

/* Splits at the first `sep`, within `text`; NULL: there is none. Returns what is behind it. */
static char *split(char *text, char sep)
{
	char *at = strchr(text, sep);

	if (!at)
		return NULL;
	*at = '\0';
	return at + 1;
}

/* "ADDRESS/PREFIX" cut apart; the prefix length or -EINVAL. */
static int parse_prefix(const char *text, int family, void *addr, int min, int max)
{
	char copy[INET6_ADDRSTRLEN + 4];
	char *prefix;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	prefix = split(copy, '/');
	if (!prefix || inet_pton(family, copy, addr) != 1)
		return -EINVAL;
	return parse_number(prefix, min, max);
}

static int parse_net4(struct user_net *net, const char *text)
{
	int prefix = parse_prefix(text, AF_INET, &net->net, 1, MAX_PREFIX);

	if (prefix < 0)
		return prefix;
	net->mask.s_addr = htonl(UINT32_MAX << (32 - prefix));
	return (net->net.s_addr & ~net->mask.s_addr) == 0 ? 0 : -EINVAL;
}

/* An address of the network; `text` NULL: its `nth`. */
static int parse_host4(const struct user_net *net, const char *text, uint32_t nth,
		       struct in_addr *out)
{
	uint32_t host;

	if (!text)
		out->s_addr = net->net.s_addr | htonl(nth);
	else if (inet_pton(AF_INET, text, out) != 1)
		return -EINVAL;
	host = out->s_addr & ~net->mask.s_addr;
	if ((out->s_addr & net->mask.s_addr) != net->net.s_addr)
		return -EINVAL;
	return host == 0 || host == ~net->mask.s_addr ? -EINVAL : 0;
}

static int parse_net6(struct user_net *net, const char *text)
{
	static const uint8_t zero[8];
	int prefix = parse_prefix(text, AF_INET6, &net->net6, 64, 64);

	if (prefix < 0)
		return prefix;
	if (memcmp(&net->net6.s6_addr[8], zero, sizeof(zero)) != 0)
		return -EINVAL;
	net->host6 = net->dns6 = net->net6;
	net->host6.s6_addr[15] = 2;
	net->dns6.s6_addr[15] = 3;
	return 0;
}

int user_net_parse(struct user_net *net, const struct vio_port_user_config *cfg)
{
	if (parse_net4(net, cfg->net ? cfg->net : "10.0.2.0/24") < 0 ||
	    parse_host4(net, cfg->host, 2, &net->host) < 0 ||
	    parse_host4(net, cfg->dns, 3, &net->dns) < 0 ||
	    parse_host4(net, cfg->dhcp_start, 15, &net->dhcp) < 0)
		return -EINVAL;
	if (net->host.s_addr == net->dns.s_addr || net->host.s_addr == net->dhcp.s_addr ||
	    net->dns.s_addr == net->dhcp.s_addr)
		return -EINVAL;
	return parse_net6(net, cfg->ipv6_net ? cfg->ipv6_net : "fec0::/64");
}

/* "[ADDRESS]:PORT"; no address is 0.0.0.0. */
static int parse_end(char *text, struct in_addr *addr, uint16_t *port)
{
	char *number = split(text, ':');
	int v;

	if (!number)
		return -EINVAL;
	v = parse_number(number, 1, UINT16_MAX);
	if (v < 0)
		return v;
	*port = (uint16_t)v;
	addr->s_addr = htonl(INADDR_ANY);
	return text[0] == '\0' || inet_pton(AF_INET, text, addr) == 1 ? 0 : -EINVAL;
}

int user_forward_parse(struct user_forward *fwd, const char *text)
{
	char copy[64], *host, *guest;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	host = split(copy, ':');
	guest = host ? split(host, '-') : NULL;
	if (!guest)
		return -EINVAL;
	fwd->udp = strcmp(copy, "udp") == 0;
	if (!fwd->udp && strcmp(copy, "tcp") != 0 && copy[0] != '\0')
		return -EINVAL;
	if (parse_end(host, &fwd->host, &fwd->host_port) < 0)
		return -EINVAL;
	return parse_end(guest, &fwd->guest, &fwd->guest_port);
}
