import { assertEquals, assertThrows } from "@std/assert";
import { concatBytes, DecodeError, toHex } from "../../runtime/mod.ts";
import { NO_BALLOT } from "./ballot.ts";
import { encodeConfig, foundConfig } from "./config.ts";
import {
  decodeAccept,
  decodeList,
  decodePrepare,
  decodeReply,
  decodeSeatRequest,
  encodeAccept,
  encodeList,
  encodePrepare,
  encodeReply,
  encodeSeatRequest,
  REGISTER_NAME_BYTES_MAX,
} from "./messages.ts";
import type { Reply } from "./messages.ts";
import { seat } from "./world_test.ts";

const CONFIG = foundConfig(1, seat(1));
const HEAD = "02".repeat(8) + "15" + toHex(encodeConfig(CONFIG));
const REQUEST = {
  config: CONFIG,
  seat: seat(2),
  register: "ids",
  ballot: { epoch: 1, n: 300, node: 2, generation: 3 },
};
const LATER = Uint8Array.of(1, 2, 3);

Deno.test("requests have their golden bytes, and fields of newer releases are ignored", () => {
  const subject = "03696473" + "01ac02020003";
  const prepare = encodePrepare(REQUEST);
  assertEquals(toHex(prepare), HEAD + subject);
  assertEquals(decodePrepare(concatBytes(prepare, LATER)), REQUEST);
  const value = Uint8Array.of(7, 8);
  const accept = encodeAccept({ ...REQUEST, value });
  assertEquals(toHex(accept), HEAD + subject + "020708");
  assertEquals(decodeAccept(concatBytes(accept, LATER)), { ...REQUEST, value });
  const list = encodeList(REQUEST);
  assertEquals(toHex(list), HEAD);
  assertEquals(decodeList(concatBytes(list, LATER)), {
    config: CONFIG,
    seat: seat(2),
  });
  const request = encodeSeatRequest(CONFIG);
  assertEquals(toHex(request), "15" + toHex(encodeConfig(CONFIG)));
  assertEquals(decodeSeatRequest(concatBytes(request, LATER)), CONFIG);
});

Deno.test("replies have their golden bytes, and fields of newer releases are ignored", () => {
  const vector = new Uint8Array();
  const replies: [Reply, string][] = [
    [{
      kind: "promise",
      accepted: REQUEST.ballot,
      value: Uint8Array.of(9),
      vector,
    }, "0101ac02020003" + "0109" + "00"],
    [
      { kind: "promise", accepted: NO_BALLOT, value: undefined, vector },
      "01" + "0000000000" + "00" + "00",
    ],
    [{ kind: "ok" }, "02"],
    [
      { kind: "known", config: CONFIG },
      "03" + "15" + toHex(encodeConfig(CONFIG)),
    ],
    [{ kind: "promised", ballot: REQUEST.ballot }, "0401ac02020003"],
    [{ kind: "names", names: ["r", "ids"], vector }, "0502017203696473" + "00"],
    [{ kind: "seat", seat: seat(3) }, "06" + "03".repeat(8)],
  ];
  for (const [reply, hex] of replies) {
    const bytes = encodeReply(reply);
    assertEquals(toHex(bytes), hex);
    assertEquals(decodeReply(concatBytes(bytes, LATER)), reply);
  }
});

Deno.test("a ballot of zeroes, an empty or overlong name and an unknown reply are refused", () => {
  const refused = (run: () => unknown) => assertThrows(run, DecodeError);
  const decode = (more: Partial<typeof REQUEST>) => () =>
    decodePrepare(encodePrepare({ ...REQUEST, ...more }));
  refused(decode({ ballot: NO_BALLOT }));
  refused(decode({ register: "" }));
  refused(decode({ register: "r".repeat(REGISTER_NAME_BYTES_MAX + 1) }));
  refused(() => decodeReply(Uint8Array.of(7)));
  refused(() => decodeReply(new Uint8Array()));
});
