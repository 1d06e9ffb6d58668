/** `npm run prove`: the proof in ten minutes, on the machine of whoever reads this. */
export {}
