"""What a voice says while it is fitted, checked and scored: three sets that share no sentence."""

from __future__ import annotations

SEARCH = (
    "A thin fog lay over the harbour when the first boats came home.",
    "Please leave the keys with the neighbour before you go.",
    "Nobody in the village remembered who had built the bridge.",
    "She folded the letter twice and put it into her pocket.",
    "The kitchen smelled of oranges, burnt sugar and strong coffee.",
    "We could hear the children laughing behind the garden wall.",
    "If the weather holds, they will reach the summit by noon.",
    "He measured the board again, just to be on the safe side.",
    "Most of the questions were easier than anyone had expected.",
    "Their train was late, so they shared a sandwich on the platform.",
    "You should have seen how quickly the dog learned that trick.",
    "Between the hills and the sea runs a narrow, dusty road.",
    "The doctor asked me to breathe deeply and count to four.",
    "Every winter the old theatre opens its doors for a week.",
    "I thought the answer was obvious, but I was badly mistaken.",
    "Put the yellow box beside the window, not under the table.",
    "Our guide spoke softly and pointed at the birds above us.",
    "What would you do with an extra hour in the morning?",
    "The judge waited until the whole room was quiet.",
    "A good cook never throws away the bones or the peel.",
    "They painted the fence green and the gate a shade darker.",
    "Without a word, the woman handed him a cup of tea.",
    "The engine coughed, shook for a moment and then died.",
    "Years later he still knew the poem from beginning to end.",
)
CHECK = (
    "The lamp in the hallway had been flickering for weeks.",
    "Could you tell me which of these roads leads to the river?",
    "Fresh bread was cheaper at the shop around the corner.",
    "My uncle grows tomatoes, beans and some very large pumpkins.",
)
REPORT = (
    "The museum will close early today because of the heavy snow.",
    "I have never owned a watch that kept the right time.",
    "How many chairs do we need for the meeting on Thursday?",
    "A small brown fox crossed the road just ahead of our car.",
    "After lunch they walked through the market and bought some pears.",
    "The teacher smiled, closed the book and looked at the clock.",
)
