"""How the pattern of the Perth mark is told from sound: a filter over the fine structure of a spectrum.

The covariance of windows of one second of unmarked sound, inverted, times what the mark adds; scaled so that its output
has mean 0 and deviation 1 there. These numbers came from a script that was not kept: the method is that of
`python benchmarks/watermark_alarms.py fit CACHE.npz...`, but at half its frame rate, so with 20 ms from spectrum to
spectrum. `fit` gives other numbers, for which the thresholds in mark.py and docs/models/perth.md were not measured.
"""

FIRST = 3  # bin
MEAN = 0.0279
WEIGHTS = (
    0.0248, 0.0680, -0.2007, 0.0472, 0.0704, -0.0080, 0.0368, -0.0201, 0.0748, 0.0368,
    0.0078, -0.2619, 0.0067, 0.1504, -0.0187, -0.0768, -0.0342, -0.0353, -0.0283, 0.0490,
    -0.1095, -0.1458, 0.1239, -0.0509, -0.0340, 0.1681, 0.0014, 0.0230, -0.0804, -0.1307,
    0.0165, -0.0484, 0.2460, -0.0743, -0.1878, 0.0393, 0.0606, 0.1432, 0.0202, -0.0986,
    -0.0570, -0.1339, 0.2330, 0.1738, -0.0428, -0.2006, 0.1943, -0.1345, -0.1714, 0.2297,
    0.1730, -0.1085, -0.1659, -0.0778, -0.0218, -0.0207, -0.1914, -0.0204, 0.0921, 0.0915,
    0.2149, -0.1957, -0.0070, -0.0053, -0.1655, -0.0655, 0.2190, 0.0597, -0.0146, 0.0596,
    0.0520, 0.1060, 0.2149, -0.0907, -0.0174, -0.0710, -0.0593, -0.0963, 0.1430, 0.1918,
    0.0634, 0.2073, -0.1225, -0.1469, -0.0251, -0.1713, 0.2093, 0.1504, -0.0658, -0.2100,
    -0.0310, 0.2208, -0.0317, -0.2635, -0.1754, 0.2257, 0.1393, -0.0181, -0.1905, 0.0019,
    -0.2489, -0.0148, 0.2279, -0.1897, 0.1107, 0.1262, 0.0731, 0.1082, 0.0310, 0.1435,
    0.0908, 0.0721, 0.3036, -0.1578, -0.0868, -0.0440, -0.0008, -0.1001, -0.0721, -0.0008,
    -0.0212, -0.2248, -0.1913, 0.2225, 0.0365,
)
