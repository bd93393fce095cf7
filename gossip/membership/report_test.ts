import { assertEquals } from "@std/assert";
import { concatBytes, toHex } from "../../runtime/mod.ts";
import { encodeConfig, foundConfig } from "../register/mod.ts";
import { Vector } from "../replication/vector.ts";
import {
  decodeReport,
  decodeReportRequest,
  encodeReport,
  encodeReportRequest,
} from "./report.ts";

const LATER = Uint8Array.of(1, 2, 3);

Deno.test("a report and its request have golden bytes, and fields of newer releases are ignored", () => {
  const config = foundConfig(1, new Uint8Array(8).fill(1));
  const request = encodeReportRequest(config);
  assertEquals(toHex(request), "15" + toHex(encodeConfig(config)));
  assertEquals(decodeReportRequest(concatBytes(request, LATER)), config);

  const vector = new Vector();
  vector.add(2, 1);
  const floor = new Vector();
  floor.add(4, 1);
  const report = {
    node: 258,
    era: 0,
    epoch: 300,
    generation: 7,
    nonce: new Uint8Array(8).fill(9),
    number: 300,
    birth: new Vector(),
    vector,
    floor,
    leaving: true,
  };
  const bytes = encodeReport(report);
  assertEquals(
    toHex(bytes),
    "0201" + "00" + "ac02" + "07" + "09".repeat(8) + "ac02" + "0100" +
      "03010201" + "03010401" + "01",
  );
  const decoded = decodeReport(concatBytes(bytes, LATER));
  assertEquals(decoded, report);
  // What the assertion does not look into: the vectors.
  assertEquals(toHex(encodeReport(decoded)), toHex(bytes));
});
